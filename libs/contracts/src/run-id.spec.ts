import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dedupId } from './message-id.js';
import { makeRunId } from './run-id.js';

const key = { shard: 3, agentToken: 'main', sessionToken: 'telegram=3A42' };

describe('makeRunId', () => {
  it('names the session and the first sequence, in characters for subjects, headers and URLs', () => {
    expect(makeRunId(key, [17, 19])).toMatch(/^main\.telegram=3A42\.17\.[0-9a-f]{10}$/);
  });

  it('L7 the same batch has one id, two batches have two', () => {
    const seqs = fc.uniqueArray(fc.nat({ max: 300 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(seqs, seqs, (a, b) => {
        expect(makeRunId(key, a) === makeRunId(key, b)).toBe(a.join() === b.join());
      }),
      { numRuns: 1_000 },
    );
  });

  it.each<[string, number[], number[]]>([
    ['order', [1, 2, 3], [1, 3, 2]],
    ['a further message', [1, 2], [1, 2, 3]],
    ['another message', [1, 2, 4], [1, 2, 3]],
    ['where one number ends', [1, 23], [1, 2, 3]],
  ])('L7 tells batches apart by %s', (_title, a, b) => {
    expect(makeRunId(key, a)).not.toBe(makeRunId(key, b));
    expect(makeRunId(key, [...a])).toBe(makeRunId(key, a));
  });

  it('tells sessions and agents apart', () => {
    const ids = [key, { ...key, sessionToken: 'x' }, { ...key, agentToken: 'x' }].map((each) => makeRunId(each, [1]));
    expect(new Set(ids).size).toBe(3);
  });
});

describe('dedupId', () => {
  it('is 128 bits in characters that a header takes, the same for the same message', () => {
    expect(dedupId(key, 'm1\u{1F600}')).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(dedupId({ ...key, shard: 9 }, 'm1')).toBe(dedupId(key, 'm1'));
  });

  it('L1 agents, sessions and ids never run into one another', () => {
    const triples = [
      ['a', 'b', 'c'],
      ['ab', 'c', ''],
      ['a', 'bc', ''],
      ['a', 'b', '.c'],
      ['a', 'b', 'c.'],
      ['b', 'a', 'c'],
    ] as const;
    const ids = triples.map(([agentToken, sessionToken, id]) => dedupId({ agentToken, sessionToken, shard: 0 }, id));
    expect(new Set(ids).size).toBe(triples.length);
  });

  it('of an id that ended dead is a new one, and one alone', () => {
    expect(dedupId(key, 'm1', 7)).toBe(dedupId(key, 'm1', 7));
    expect(new Set([dedupId(key, 'm1'), dedupId(key, 'm1', 7), dedupId(key, 'm1', 8)]).size).toBe(3);
    expect(dedupId(key, 'm1', 0)).toBe(dedupId(key, 'm1'));
    expect(dedupId(key, '7.m1')).not.toBe(dedupId(key, 'm1', 7));
  });
});
