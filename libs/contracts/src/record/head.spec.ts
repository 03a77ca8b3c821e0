import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Head } from './record.js';
import { decide, emptyHead, isDecided } from './head.js';

type Cursor = Pick<Head, 'upto' | 'done'>;

/** The sequences of one session, ascending; the ones in between belong to other sessions. */
const sessionSeqs = fc
  .uniqueArray(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 25 })
  .map((seqs) => seqs.toSorted((a, b) => a - b));

const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('read' as const), count: fc.integer({ min: 1, max: 10 }) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('decide' as const),
        picks: fc.array(fc.nat({ max: 24 }), { minLength: 1, maxLength: 4 }),
      }),
    },
    // A new process: the head as it was written, and the inbox read again from its start.
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  ),
  { minLength: 20, maxLength: 60 },
);

function expectWellFormed({ upto, done }: Cursor): void {
  let last = upto;
  for (const [from, to] of done) {
    expect(from).toBeGreaterThan(last);
    expect(to).toBeGreaterThanOrEqual(from);
    last = to;
  }
}

describe('head algebra', () => {
  it('L1 L3 after every step the head’s pending messages are exactly the undecided ones of all stored messages', () => {
    const seen = { holes: 0, behind: 0 };
    fc.assert(
      fc.property(sessionSeqs, steps, (stored, plan) => {
        const decided = new Set<number>();
        let head: Cursor = emptyHead();
        let read = 0;
        for (const step of plan) {
          if (step.kind === 'restart') {
            head = JSON.parse(JSON.stringify(head)) as Cursor;
            read = 0;
          } else if (step.kind === 'read') {
            read = Math.min(stored.length, read + step.count);
          } else {
            const known = stored.slice(0, read);
            const undecided = known.filter((seq) => !decided.has(seq));
            const chosen = new Set(step.picks.flatMap((pick) => undecided[pick % undecided.length] ?? []));
            if (chosen.size === 0) continue;
            const readTo = known.at(-1) ?? 0;
            if (head.done.some(([from]) => from > readTo)) seen.behind++;
            const before = structuredClone(head);
            const next = decide(head, [...chosen], undecided, readTo);
            expect(head).toEqual(before);
            for (const seq of chosen) decided.add(seq);
            expect(() => decide(next, [...chosen], undecided, readTo)).toThrow('decided twice (L1)');
            expect(next.upto).toBeGreaterThanOrEqual(head.upto);
            head = next;
          }
          if (head.done.length > 1) seen.holes++;
          expectWellFormed(head);
          // Including what is stored and not read yet: a cursor that skips it would lose it.
          const pending = (cursor: Cursor) => stored.filter((seq) => !isDecided(cursor, seq));
          expect(pending(head)).toEqual(stored.filter((seq) => !decided.has(seq)));
          expect(pending(JSON.parse(JSON.stringify(head)) as Cursor)).toEqual(pending(head));
        }
      }),
      { numRuns: 2_000 },
    );
    // The property is about holes, and about a reader that is behind them: both must have occurred.
    expect(seen.holes).toBeGreaterThan(20);
    expect(seen.behind).toBeGreaterThan(20);
  }, 60_000);

  it('there are no holes when everything that was read is decided', () => {
    fc.assert(
      fc.property(sessionSeqs, fc.func(fc.nat()), (stored, order) => {
        let head: Cursor = emptyHead();
        const left = new Set(stored);
        for (const seq of [...stored].toSorted((a, b) => order(a) - order(b))) {
          head = { ...head, ...decide(head, [seq], [...left], stored.at(-1) ?? 0) };
          left.delete(seq);
        }
        expect(head).toMatchObject({ upto: stored.at(-1), done: [] });
      }),
      { numRuns: 500 },
    );
  });

  it('L3 a range beyond the reader does not move the cursor over unread messages', () => {
    const former = { upto: 3, done: [[10, 10]] as [number, number][] };
    const head = decide(former, [5], [5], 5);
    expect(head).toEqual({ upto: 5, done: [[10, 10]] });
    expect(isDecided(head, 7)).toBe(false);
    expect(decide(head, [7], [7], 12)).toEqual({ upto: 10, done: [] });
  });

  it('L1 a second decision throws, both below the cursor and in a range', () => {
    const head = { upto: 3, done: [[6, 8]] as [number, number][] };
    for (const seq of [1, 3, 6, 7, 8]) expect(() => decide(head, [seq], [4, 5], 9)).toThrow(`message ${seq} would`);
    expect(decide(head, [4], [4, 5], 9)).toEqual({ upto: 4, done: [[6, 8]] });
  });
});
