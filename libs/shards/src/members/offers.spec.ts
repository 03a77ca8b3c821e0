import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assignShards } from './assignment.js';
import { offerShards, type Taker } from './offers.js';

const AGENTS = ['main', 'research', 'support', 'ops'];
const shards = 64;
/** Some of them run a version that knows nothing of offers. */
const members = fc.uniqueArray(
  fc.record({
    id: fc.string({ minLength: 1, maxLength: 8 }),
    has: fc.option(fc.subarray(AGENTS), { nil: undefined, freq: 4 }),
  }),
  { minLength: 1, maxLength: 8, selector: ({ id }) => id },
);
const needs = fc.dictionary(fc.nat({ max: shards - 1 }).map(String), fc.shuffledSubarray([...AGENTS, 'typo']));
const idsOf = (takers: readonly Taker[]): string[] => takers.map(({ id }) => id);
const has = (takers: readonly Taker[], id: string | undefined, agent: string): boolean =>
  takers.find((taker) => taker.id === id)?.has?.includes(agent) === true;

describe('offerShards', () => {
  it('is the usual assignment when no shard needs anything, or only what no member has', () => {
    fc.assert(
      fc.property(members, (takers) => {
        const usual = assignShards(idsOf(takers), shards);
        expect(offerShards(takers, shards, () => [])).toEqual(usual);
        expect(offerShards(takers, shards, () => ['typo'])).toEqual(usual);
      }),
    );
  });

  it('depends only on the set of members and the needs', () => {
    const twice = members.chain((takers) =>
      fc.tuple(fc.constant(takers), fc.shuffledSubarray(takers, { minLength: takers.length })),
    );
    fc.assert(
      fc.property(twice, needs, ([takers, others], wanted) => {
        const needsOf = (shard: number): readonly string[] => wanted[String(shard)] ?? [];
        expect(offerShards(others, shards, needsOf)).toEqual(offerShards(takers, shards, needsOf));
      }),
    );
  });

  it('gives a shard to a member that has its first need that any member has, and moves no other shard', () => {
    fc.assert(
      fc.property(members, needs, (takers, wanted) => {
        const needsOf = (shard: number): readonly string[] => wanted[String(shard)] ?? [];
        const usual = assignShards(idsOf(takers), shards);
        const owners = offerShards(takers, shards, needsOf);
        for (let shard = 0; shard < shards; shard++) {
          const first = needsOf(shard).find((agent) => takers.some(({ id }) => has(takers, id, agent)));
          if (first === undefined) expect(owners[shard]).toBe(usual[shard]);
          else expect(has(takers, owners[shard], first)).toBe(true);
          // Its usual owner keeps it when no other member has more of its needs.
          if (needsOf(shard).every((agent) => has(takers, usual[shard], agent)))
            expect(owners[shard]).toBe(usual[shard]);
        }
      }),
    );
  });

  it('gives every shard an owner: a member without offers gets only its usual shards', () => {
    fc.assert(
      fc.property(members, needs, (takers, wanted) => {
        const usual = assignShards(idsOf(takers), shards);
        const owners = offerShards(takers, shards, (shard) => wanted[String(shard)] ?? []);
        const byId = new Map(takers.map((taker) => [taker.id, taker]));
        owners.forEach((owner, shard) => {
          if (byId.get(owner)?.has === undefined) expect(owner).toBe(usual[shard]);
        });
      }),
    );
  });

  it('deals shards that some members cannot serve out among all that can', () => {
    const takers = [{ id: 'old', has: ['main'] }, ...['a', 'b'].map((id) => ({ id, has: ['main', 'research'] }))];
    const owners = offerShards(takers, shards, () => ['research']);
    const count = (id: string): number => owners.filter((owner) => owner === id).length;
    expect(count('old')).toBe(0);
    expect(Math.abs(count('a') - count('b'))).toBeLessThan(12);
    // Each of them keeps what it had.
    const usual = assignShards(idsOf(takers), shards);
    usual.forEach((owner, shard) => owner === 'old' || expect(owners[shard]).toBe(owner));
  });

  it('leaves a shard with its usual owner when that is able, though a draft among the able members alone would move it', () => {
    const takers = [...'abcdefgh'].map((id) => ({ id, has: id < 'd' ? ['main'] : ['main', 'research'] }));
    const able = takers.filter(({ id }) => has(takers, id, 'research'));
    const usual = assignShards(idsOf(takers), shards);
    const amongAble = assignShards(idsOf(able), shards);
    const kept = [...usual.entries()].filter(([, owner]) => has(able, owner, 'research'));
    expect(kept.filter(([shard, owner]) => amongAble[shard] !== owner)).not.toEqual([]);
    const owners = offerShards(takers, shards, () => ['research']);
    for (const [shard, owner] of kept) expect(owners[shard]).toBe(owner);
  });
});
