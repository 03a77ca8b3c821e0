/**
 * Which member owns which shard: a pure function of the set of live members, so that every worker computes the same
 * answer and no leader is needed. If it depended on anything else (the order of the list, the former owners, the locale),
 * two workers could get different answers: both would try to take one shard, and another would have no owner.
 *
 * It works like a draft. Every member has its own order of all the shards, shuffled by its name. In round k each member is
 * offered the k-th shard of its order and takes it if the shard is free and the member has room. A member that comes or goes
 * changes no other member's order, so most shards stay: when an eleventh worker joins, 10 of 64 move on average, where 6 must.
 * If shards were dealt out by position, nearly all would move, at a deploy once per worker, each with a handoff.
 *
 * A member gets the same number of shards as any other, or one more while there are such places left. Do not change a
 * constant here without care: while an old and a new version run side by side, they would take each other's shards.
 */

interface Drafter {
  readonly name: string;
  readonly seed: number;
  readonly offers: readonly number[];
  taken: number;
}

/** The owner of each shard, by the number of the shard. Empty when there are no members. */
export function assignShards(members: readonly string[], shards: number): readonly string[] {
  const drafters = [...new Set(members)].map((name) => drafter(name, shards)).toSorted(bySeed);
  if (drafters.length === 0) return [];
  const share = Math.floor(shards / drafters.length);
  let extraPlaces = shards % drafters.length;
  const owners = Array.from<string | undefined>({ length: shards });
  for (let round = 0; round < shards; round++) {
    for (const member of drafters) {
      const shard = member.offers[round] as number;
      if (owners[shard] !== undefined) continue;
      if (member.taken >= share) {
        if (member.taken > share || extraPlaces === 0) continue;
        extraPlaces--;
      }
      member.taken++;
      owners[shard] = member.name;
    }
  }
  // No shard is left over: a member with room takes every free shard that it is offered, and each member is offered all shards.
  return owners as string[];
}

function drafter(name: string, shards: number): Drafter {
  const seed = hash(name);
  return { name, seed, offers: shuffledShards(seed, shards), taken: 0 };
}

/** By the hash, so that the alphabet favours no name; by code units where two names share a hash. */
function bySeed(a: Drafter, b: Drafter): number {
  return a.seed - b.seed || (a.name < b.name ? -1 : 1);
}

function shuffledShards(seed: number, shards: number): number[] {
  const order = Array.from({ length: shards }, (_, shard) => shard);
  for (let last = shards - 1; last > 0; last--) {
    const pick = mix(seed + Math.imul(last, 0x9e3779b9)) % (last + 1);
    [order[last], order[pick]] = [order[pick] as number, order[last] as number];
  }
  return order;
}

/** FNV-1a over UTF-16 code units. Alone it hardly spreads names that differ only in the last character. */
function hash(name: string): number {
  let state = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) state = Math.imul(state ^ name.charCodeAt(i), 0x01000193);
  return mix(state);
}

/** The last step of MurmurHash3: every input bit changes half of the output bits. */
function mix(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
