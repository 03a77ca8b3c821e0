import { z } from 'zod';
import type { KeyBucket } from '#jetstream';
import type { Installation } from '#settings-store';
import { parseMember, type Lease, type LeaseStore } from '#shards';
import { shardRanges } from './shard-ranges.js';

/** What workers say of themselves beside what the library needs. Each may lack: workers of another version run too. */
const told = z.object({
  capacity: z.number().optional().catch(undefined),
  running: z.number().optional().catch(undefined),
  /** Sessions that wait for nothing but a slot. */
  waiting: z.number().optional().catch(undefined),
  /** Shards of which it reads no more for now, since enough of what it has read waits. */
  paused: z.number().optional().catch(undefined),
  /** Sessions that it has in memory; those with nothing to do leave after a while. */
  lanes: z.number().optional().catch(undefined),
  /** Bodies of waiting messages that it has in memory - bytes; of the others it only knows the sequence. */
  waitingBytes: z.number().optional().catch(undefined),
  /** Share of the time in which the event loop worked, 0 to 1. */
  busy: z.number().optional().catch(undefined),
  leaked: z.number().optional().catch(undefined),
  discarded: z.number().optional().catch(undefined),
  version: z.string().optional().catch(undefined),
  /** Of the installation's settings that it acts on; 0 = it started before there were any. */
  settingsVersion: z.number().optional().catch(undefined),
  agents: z.array(z.string()).optional().catch(undefined),
  startedAt: z.number().optional().catch(undefined),
  /** How many sessions wait for agents that it does not have, by agent; some of the agents, when they are many. */
  waitingForAgents: z.record(z.string(), z.number()).optional().catch(undefined),
});

export interface WorkerEntry extends z.infer<typeof told> {
  readonly worker: string;
  readonly incarnation: string;
  readonly draining: boolean;
  /** How many it owns. */
  readonly shards: number;
  /** Which, e.g. `0-15,40`; absent when it owns none. */
  readonly shardList?: string;
}

export interface WorkerList {
  readonly workers: readonly WorkerEntry[];
  readonly shards: {
    readonly total: number;
    /** By a worker of the list. */
    readonly owned: number;
    /** By nobody, or by one that is gone and whose time to live is not over or not yet noticed. */
    readonly unowned: number;
    /** Sessions whose turn still runs on a worker that gave their shard away. */
    readonly held: number;
  };
  /** Versions of the installation's settings; absent while it has none. */
  readonly settings?: {
    /** What a process that starts now acts on. */
    readonly current: number;
    /** What the ingress that answers acts on. */
    readonly ingress: number;
  };
}

/** Who runs turns, and which shards are whose: read from the broker as it stands there, so it may be a moment old. */
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
