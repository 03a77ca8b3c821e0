import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shardOf } from './shard.js';

const ALL = 2 ** 32;

describe('shardOf', () => {
  it.each([
    ['', 0x811c9dc5],
    ['a', 0xe40c292c],
    ['b', 0xe70c2de5],
    ['foo', 0xa9f37ed7],
    ['foobar', 0xbf9cf968],
  ])('FNV-1a (32 bit) of %j', (text, hash) => {
    for (let cut = 0; cut <= text.length; cut++) {
      expect(shardOf(text.slice(0, cut), text.slice(cut), ALL)).toBe(hash);
    }
  });

  it('is a whole number below the number of shards, the same for the same session', () => {
    const token = fc.string({ unit: fc.constantFrom(...'abzAZ09_-='), minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(token, token, fc.constantFrom(16, 64, 512), (agent, session, shards) => {
        const shard = shardOf(agent, session, shards);
        expect(Number.isInteger(shard) && shard >= 0 && shard < shards).toBe(true);
        expect(shardOf(agent, session, shards)).toBe(shard);
      }),
    );
  });

  it('spreads sessions evenly', () => {
    const counts = Array.from({ length: 64 }, () => 0);
    for (let i = 0; i < 64_000; i++) {
      const shard = shardOf('main', `telegram=3A-100=3A${i}`, 64);
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(700);
    expect(Math.max(...counts)).toBeLessThan(1_300);
  });
});
