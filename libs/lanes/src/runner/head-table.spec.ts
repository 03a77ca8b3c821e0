import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeadTable } from './head-table.js';

const BUCKET_BYTES = 256;

/** As many of these names as are still there, without a change. */
function countOf(table: HeadTable, names: readonly string[]): number {
  return names.filter((name) => {
    const seq = table.take(name);
    if (seq !== undefined) table.put(name, seq);
    return seq !== undefined;
  }).length;
}

describe('a table of heads', () => {
  it('answers with the last sequence that was put under a name, once', () => {
    const table = new HeadTable(BUCKET_BYTES);
    expect(table.take('a')).toBeUndefined();
    table.put('a', 1);
    table.put('b', 2);
    table.put('a', 3);
    expect([table.take('a'), table.take('a'), table.take('b'), table.take('c')]).toEqual([3, undefined, 2, undefined]);
  });

  it('keeps every sequence that JavaScript can count', () => {
    const table = new HeadTable(BUCKET_BYTES);
    for (const seq of [2 ** 32 - 1, 2 ** 32, 2 ** 40 + 7, Number.MAX_SAFE_INTEGER]) {
      table.put('a', seq);
      expect(table.take('a')).toBe(seq);
    }
  });

  it('forgets the lowest sequence of a full bucket, whatever their order was', () => {
    const table = new HeadTable(BUCKET_BYTES);
    for (let i = 0; i < 16; i++) table.put(`n${i}`, 100 + ((i * 7) % 16));
    table.put('new', 50);
    expect([table.take('n0'), table.take('new')]).toEqual([undefined, 50]);
    table.put('n0', 1);
    for (let i = 0; i < 16; i++) expect(table.take(`n${i}`)).toBe(i === 0 ? 1 : 100 + ((i * 7) % 16));
  });

  it.each([
    ['n10739', 'n45150'],
    ['n26021', 'n28424'],
  ])('tells %s and %s apart, half of whose hashes in the table agree', (one, other) => {
    const table = new HeadTable(BUCKET_BYTES);
    table.put(one, 1);
    expect(table.take(other)).toBeUndefined();
    table.put(other, 2);
    expect([table.take(one), table.take(other)]).toEqual([1, 2]);
  });

  it.each([0, BUCKET_BYTES - 1])('of %i bytes keeps nothing', (bytes) => {
    const table = new HeadTable(bytes);
    table.put('a', 1);
    expect(table.take('a')).toBeUndefined();
  });

  it('has 16 bytes for each, and loses few before it is full', () => {
    const table = new HeadTable(256 * 1_024 + 100);
    const names = Array.from({ length: 16_384 }, (_, i) => `1 main.session-${i}`);
    for (const [i, name] of names.slice(0, 12_000).entries()) table.put(name, i + 1);
    expect(countOf(table, names.slice(0, 12_000))).toBeGreaterThan(11_700);
    for (const [i, name] of names.entries()) table.put(name, i + 1);
    const left = countOf(table, names);
    expect(left).toBeGreaterThan(14_000);
    // The hash spreads them unevenly: not every bucket is full of them.
    expect(left).toBeLessThan(16_384);
  });

  it('takes no memory before its first entry, and then no more than it was given', () => {
    const bytes = 256 * 1_024 * 1_024;
    const before = process.memoryUsage();
    const table = new HeadTable(bytes);
    expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(bytes / 4);
    table.put('a', 1);
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(1.25 * bytes);
    // What is not written to is only promised: the other pages of it are nowhere.
    expect(after.rss - before.rss).toBeLessThan(bytes / 4);
    expect(table.take('a')).toBe(1);
  });

  it('never answers wrongly, whatever it forgets', () => {
    const name = fc.nat({ max: 80 }).map((i) => `${i % 3} main.s${i}`);
    const step = fc.oneof(
      fc.record({ what: fc.constant('put' as const), name, seq: fc.integer({ min: 1, max: 2 ** 40 }) }),
      fc.record({ what: fc.constant('take' as const), name }),
    );
    let found = 0;
    let lost = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: 'max' }), fc.constantFrom(1, 2, 3), (steps, buckets) => {
        const table = new HeadTable(buckets * BUCKET_BYTES);
        const model = new Map<string, number>();
        for (const [i, each] of steps.entries()) {
          if (each.what === 'put') {
            table.put(each.name, each.seq);
            model.set(each.name, each.seq);
            continue;
          }
          const seq = table.take(each.name);
          if (seq !== undefined) expect(seq).toBe(model.get(each.name));
          // What was put in the step before cannot have had to make room.
          const last = steps[i - 1];
          if (last?.what === 'put' && last.name === each.name) expect(seq).toBe(last.seq);
          if (seq !== undefined) found++;
          else if (model.has(each.name)) lost++;
          model.delete(each.name);
        }
        // No more of them than there are places.
        expect(countOf(table, [...model.keys()])).toBeLessThanOrEqual(16 * buckets);
      }),
      { numRuns: 500 },
    );
    expect(found).toBeGreaterThan(1_000);
    expect(lost).toBeGreaterThan(100);
  });
});
