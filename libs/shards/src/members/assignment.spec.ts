import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assignShards } from './assignment.js';

const shardCounts = fc.integer({ min: 4, max: 9 }).map((power) => 2 ** power);
const names = fc.uniqueArray(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.uuid()), { maxLength: 40 });

function loads(owners: readonly string[], members: readonly string[]): number[] {
  return members.map((member) => owners.filter((owner) => owner === member).length);
}

function moved(before: readonly string[], after: readonly string[]): number {
  return before.filter((owner, shard) => owner !== after[shard]).length;
}

describe('assignShards', () => {
  it('depends only on the set of members', () => {
    const twoWays = names.chain((members) =>
      fc.tuple(
        fc.constant(members),
        fc.shuffledSubarray(members, { minLength: members.length }),
        fc.subarray(members), // Named twice.
      ),
    );
    fc.assert(
      fc.property(twoWays, shardCounts, ([members, others, again], shards) => {
        expect(assignShards([...again, ...others], shards)).toEqual(assignShards(members, shards));
      }),
    );
  });

  it('the order does not matter for members whose names share a hash either', () => {
    const owners = assignShards(['costarring', 'liquid'], 8);
    expect(assignShards(['liquid', 'costarring'], 8)).toEqual(owners);
    expect(loads(owners, ['costarring', 'liquid'])).toEqual([4, 4]);
  });

  it('gives every shard to a member, and all members the same number or one more', () => {
    fc.assert(
      fc.property(names, fc.oneof(shardCounts, fc.integer({ min: 0, max: 100 })), (members, shards) => {
        fc.pre(members.length > 0);
        const owners = assignShards(members, shards);
        const share = Math.floor(shards / members.length);
        const extra = shards % members.length;
        expect(owners).toHaveLength(shards);
        expect(loads(owners, members).toSorted((a, b) => a - b)).toEqual([
          ...Array.from({ length: members.length - extra }, () => share),
          ...Array.from({ length: extra }, () => share + 1),
        ]);
      }),
    );
  });

  it('is empty when there are no members', () => {
    expect(assignShards([], 64)).toEqual([]);
  });

  // A leave is a join read backwards, so these two cases cover both. Only the share of the new member must move.
  it('one join moves at most what must move plus twice the square root of the number of shards', () => {
    fc.assert(
      fc.property(names, shardCounts, (members, shards) => {
        fc.pre(members.length > 1);
        const before = assignShards(members.slice(1), shards);
        const must = Math.ceil(shards / members.length);
        expect(moved(before, assignShards(members, shards))).toBeLessThanOrEqual(must + 2 * Math.sqrt(shards));
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    { shards: 64, members: 1, must: 32, average: 32 },
    { shards: 64, members: 3, must: 16, average: 18.5 },
    { shards: 64, members: 5, must: 10.7, average: 13.5 },
    { shards: 64, members: 10, must: 5.8, average: 10 },
    { shards: 64, members: 20, must: 3, average: 8.5 },
    { shards: 512, members: 3, must: 128, average: 135 },
    { shards: 512, members: 10, must: 46.5, average: 58.5 },
    { shards: 512, members: 32, must: 15.5, average: 30 },
  ])('$shards shards: one more than $members members moves $average on average, $must must', (given) => {
    const rounds = 100;
    let sum = 0;
    for (let round = 0; round < rounds; round++) {
      const members = Array.from({ length: given.members + 1 }, (_, i) => `worker-${round}-${i}`);
      sum += moved(assignShards(members.slice(1), given.shards), assignShards(members, given.shards));
    }
    expect(sum / rounds).toBeLessThanOrEqual(given.average);
    expect(sum / rounds).toBeGreaterThan(given.must - 0.5);
  });

  // Two versions run side by side during a deploy. If these values change, the versions fight over the shards.
  it.each([
    [16, ['worker-a', 'worker-b', 'worker-c'], '1122121201010002'],
    [
      64,
      ['worker-a', 'worker-b', 'worker-c', 'worker-d', 'worker-e'],
      '2040134130423023424010102113432403144011402041124210123303232233',
    ],
    [16, ['costarring', 'liquid', 'zinke', 'altarage'], '2331001203103212'],
    [32, ['', 'żółw', '🦊', 'a.b.7', 'Ω'], '10412243012214124230414300323340'],
  ])('golden: %i shards of %j', (shards, members, expected) => {
    const owners = assignShards(members, shards);
    expect(owners.map((owner) => members.indexOf(owner)).join('')).toBe(expected);
  });
});
