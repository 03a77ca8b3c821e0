import { z } from 'zod';
import { toldByWorker, type WorkerEntry, type WorkerList } from '#contracts';
import type { KeyBucket } from '#jetstream';
import type { Installation } from '#settings-store';
import { parseMember, type Lease, type LeaseStore } from '#shards';
import { shardRanges } from './shard-ranges.js';

/** A field that is not as wanted is left out, not the worker: it may be of another version. */
const told = z.object(
  Object.fromEntries(
    Object.entries<z.ZodType>(toldByWorker.shape).map(([name, field]) => [name, field.catch(undefined)]),
  ),
) as unknown as typeof toldByWorker;

/** Lists the workers and the shards of each, as the broker has them: the list may be a moment old. */
export class WorkerDirectory {
  constructor(
    private readonly members: Pick<KeyBucket, 'readMany'>,
    private readonly leases: Pick<LeaseStore, 'readAll'>,
    private readonly shards: number,
    private readonly installation: Pick<Installation, 'version' | 'newestVersion'>,
  ) {}

  async list(): Promise<WorkerList> {
    const [entries, leases, current] = await Promise.all([
      this.members.readMany(['*']),
      this.leases.readAll(),
      this.installation.newestVersion(),
    ]);
    const shardsOf = groupByOwner([...leases].map(([shard, { lease }]) => [shard, lease]));
    const workers = entries
      .flatMap(({ key, value }) => describe(key, value ?? '', shardsOf))
      .toSorted((a, b) => (a.worker < b.worker ? -1 : 1));
    const owned = workers.reduce((sum, { shards }) => sum + shards, 0);
    const settings = current === 0 ? {} : { settings: { current, ingress: this.installation.version } };
    const shards = { total: this.shards, owned, unowned: this.shards - owned, held: countHeld(leases) };
    return { workers, shards, ...settings };
  }
}

function describe(worker: string, text: string, shardsOf: ReadonlyMap<string, readonly number[]>): WorkerEntry[] {
  const member = parseMember(text);
  if (member === undefined) return [];
  const { incarnation, draining } = member;
  const shards = shardsOf.get(incarnation) ?? [];
  const shardList = shards.length === 0 ? {} : { shardList: shardRanges(shards) };
  return [{ worker, incarnation, draining, ...told.parse(member), shards: shards.length, ...shardList }];
}

function groupByOwner(leases: readonly (readonly [number, Lease])[]): Map<string, number[]> {
  const shardsOf = new Map<string, number[]>();
  for (const [shard, { owner }] of leases) {
    if (owner !== null) shardsOf.set(owner, [...(shardsOf.get(owner) ?? []), shard]);
  }
  return shardsOf;
}

function countHeld(leases: Awaited<ReturnType<LeaseStore['readAll']>>): number {
  const open = [...leases.values()].flatMap(({ lease }) => lease.open);
  return open.filter(({ holder }) => holder !== undefined).length;
}
