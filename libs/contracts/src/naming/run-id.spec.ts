import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dedupId } from './message-id.js';
import { makeRunId, parseRunId } from './run-id.js';
import { encodeToken } from './tokens.js';

const key = { shard: 3, agentToken: 'main', sessionToken: 'telegram=3A42' };

describe('makeRunId', () => {
  it('contains the session and the first sequence, in characters for subjects, headers and URLs', () => {
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
    ['the same digits in other numbers', [1, 23], [1, 2, 3]],
  ])('L7 tells batches apart by %s', (_title, a, b) => {
    expect(makeRunId(key, a)).not.toBe(makeRunId(key, b));
    expect(makeRunId(key, [...a])).toBe(makeRunId(key, a));
  });

  it('differs between sessions and between agents', () => {
    const ids = [key, { ...key, sessionToken: 'x' }, { ...key, agentToken: 'x' }].map((each) => makeRunId(each, [1]));
    expect(new Set(ids).size).toBe(3);
  });
});

describe('parseRunId', () => {
  it('parses what makeRunId made, for any session key', () => {
    const sessions = fc
      .string({ minLength: 1, maxLength: 120, unit: 'grapheme' })
      .filter((text) => text.isWellFormed());
    const seqs = fc.uniqueArray(fc.integer({ min: 1, max: 2 ** 50 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(sessions, seqs, (session, batch) => {
        fc.pre(Buffer.byteLength(session) <= 512);
        const runId = makeRunId({ shard: 0, agentToken: 'main', sessionToken: encodeToken(session) }, batch);
        expect(parseRunId(runId)).toEqual({ agent: 'main', session, firstSeq: batch[0] });
      }),
    );
  });

  const longest = '=21'.repeat(512);
  it.each([
    ['main.telegram=3A42.17.0123456789', { agent: 'main', session: 'telegram:42', firstSeq: 17 }],
    ['a-b_c.=2E.1.abcdefabcd', { agent: 'a-b_c', session: '.', firstSeq: 1 }],
    [`main.${longest}.9007199254740991.0000000000`, { session: '!'.repeat(512), firstSeq: Number.MAX_SAFE_INTEGER }],
  ])('takes %s', (runId, expected) => expect(parseRunId(runId)).toMatchObject(expected));

  it.each<[string, string]>([
    ['nothing', ''],
    ['a word', 'run'],
    ['a UUID', '6f1b9ad0-7a32-4f0e-9d3b-6f4a4d0c1f8e'],
    ['a dead id', 'main.s.1'],
    ['no session', 'main..1.0123456789'],
    ['no agent', '.s.1.0123456789'],
    ['a fifth part', 'main.s.1.0123456789.x'],
    ['something in front', ' main.s.1.0123456789'],
    ['a line break behind', 'main.s.1.0123456789\n'],
    ['sequence 0', 'main.s.0.0123456789'],
    ['a negative sequence', 'main.s.-1.0123456789'],
    ['a sequence with zeros in front', 'main.s.01.0123456789'],
    ['a sequence beyond exact numbers', 'main.s.9007199254740993.0123456789'],
    ['a short hash', 'main.s.1.012345678'],
    ['a long hash', 'main.s.1.01234567890'],
    ['a hash in capitals', 'main.s.1.ABCDEF0123'],
    ['a wildcard', 'main.*.1.0123456789'],
    ['a session in lower-case hex', 'main.=3a.1.0123456789'],
    ['a word in lower-case hex', 'main.a=3a1.1.0123456789'],
    ['an escaped plain character', 'main.=41.1.0123456789'],
    ['half an escape', 'main.=3.1.0123456789'],
    ['a session that is no UTF-8', 'main.=FF.1.0123456789'],
    ['a session that is not encoded', 'main.telegram:42.1.0123456789'],
    ['a session of 513 bytes', `main.${longest}a.1.0123456789`],
    ['an agent that is not canonical', '=6Dain.s.1.0123456789'],
  ])('refuses %s', (_title, runId) => expect(parseRunId(runId)).toBeUndefined());
});

describe('dedupId', () => {
  it('is 128 bits in characters that a header takes, the same for the same message', () => {
    expect(dedupId(key, 'm1\u{1F600}')).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(dedupId({ ...key, shard: 9 }, 'm1')).toBe(dedupId(key, 'm1'));
  });

  it('L1 no two combinations of agent, session and id collide', () => {
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

  it('of an id that ended dead is a new one, and only one', () => {
    expect(dedupId(key, 'm1', 7)).toBe(dedupId(key, 'm1', 7));
    expect(new Set([dedupId(key, 'm1'), dedupId(key, 'm1', 7), dedupId(key, 'm1', 8)]).size).toBe(3);
    expect(dedupId(key, 'm1', 0)).toBe(dedupId(key, 'm1'));
    expect(dedupId(key, '7.m1')).not.toBe(dedupId(key, 'm1', 7));
  });
});
