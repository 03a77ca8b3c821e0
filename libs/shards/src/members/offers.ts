import { assignShards } from './assignment.js';

/**
 * Which member owns which shard, when messages need agents that not every member has: a pure function of the members and of
 * what the leases say, so that every member computes the same.
 *
 * The usual owner keeps a shard unless it lacks what the shard needs and another member has it. The needs of a shard count in
 * their order: members that have the first need are preferred, among those the members that have the second, and so on. A need
 * that no member has does not count.
 * Shards that go to other members are dealt out among the able members, as all shards are among all members. The needs of one
 * shard move no other shard, so members that have not heard of them yet disagree about that shard alone; its lease decides.
 *
 * A member whose version does not know offers (`has` is undefined) keeps its usual shards and is offered no others: it would
 * not take them, and they would have no owner.
 */
export interface Taker {
  readonly id: string;
  /** The agents that it has. */
  readonly has?: readonly string[] | undefined;
}

/** The owner of each shard, by the number of the shard. Empty when there are no members. */
export function offerShards(
  members: readonly Taker[],
  shards: number,
  needsOf: (shard: number) => readonly string[],
): readonly string[] {
  const usual = assignShards(
    members.map(({ id }) => id),
    shards,
  );
  const dealt = new Map<string, { readonly able: ReadonlySet<string>; readonly owners: readonly string[] }>();
  return usual.map((owner, shard) => {
    const needs = needsOf(shard);
    if (needs.length === 0) return owner;
    const name = needs.join(' ');
    let offer = dealt.get(name);
    if (offer === undefined) {
      const able = ableFor(members, needs);
      offer = { able: new Set(able), owners: assignShards(able, shards) };
      dealt.set(name, offer);
    }
    return offer.able.has(owner) ? owner : (offer.owners[shard] ?? owner);
  });
}

function ableFor(members: readonly Taker[], needs: readonly string[]): string[] {
  let able = members;
  for (const need of needs) {
    const having = able.filter(({ has }) => has?.includes(need) === true);
    if (having.length > 0) able = having;
  }
  return able.map(({ id }) => id);
}
