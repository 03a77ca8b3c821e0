import { ManualClock } from '#testing';
import { assignShards } from '../members/assignment.js';
import type { Lease, ShardProgress, StoredLease } from '../leases/lease.js';
import { Gate, ListLogger, ManualWork } from '../manual-ports.fixture.js';
import type { Member, MemberValue } from '../members/member.js';
import { ShardKeeper, type ShardKeeperOptions } from './shard-keeper.js';
import type { LeaseStore, LeaseWrite, MemberStore, MemberWrite } from '../shard-ports.js';

/** For specs: a keeper on a broker in memory. The spec can drop its notifications and delay its answers. */

export const SHARDS = 8;
export const TTL_MS = 10_000;
export const RENEW_MS = 2_000;

type Asked = 'members' | 'leases' | 'standing' | 'put' | 'write' | 'source';

export class MemoryBroker {
  readonly leases = new Map<number, StoredLease>();
  /** Shards whose key holds something that is not a lease, with its revision. */
  readonly unreadable = new Map<number, number>();
  readonly members = new Map<string, MemberValue>();
  /**
   * Revision of the last write under each id. Told only where a spec is about keys that stay: most members here renew
   * nothing.
   */
  readonly memberRevisions = new Map<string, number>();
  tellsRevisions = false;
  /** Whether listeners are told of writes. */
  isHeard = true;
  /** What a lagging replica answers when it is asked for the members. */
  replicaFinds: Member[] | undefined;
  /** What a lagging replica answers when it is asked for the leases. */
  replicaHas: ReadonlyMap<number, StoredLease> | undefined;
  /** How often each thing was asked for. */
  readonly asked: Record<Asked, number> = { members: 0, leases: 0, standing: 0, put: 0, write: 0, source: 0 };
  /** Answers that are delayed. */
  readonly delayed = new Map<Asked, Gate>();
  readonly leaseListeners = new Set<(shard: number, lease: Lease) => void>();
  readonly memberListeners = new Set<(id: string, value: MemberValue | undefined) => void>();
  private revision = 0;
  private back: Gate | undefined;

  get isUp(): boolean {
    return this.back === undefined;
  }

  /** From now on every request fails. */
  goAway(): void {
    this.back = new Gate();
  }

  comeBack(): void {
    this.back?.pass();
    this.back = undefined;
  }

  whenUp(): Promise<void> {
    return this.back?.promise ?? Promise.resolve();
  }

  delay(what: Asked): Gate {
    const gate = new Gate();
    this.delayed.set(what, gate);
    const release = (): void => void (this.delayed.get(what) === gate && this.delayed.delete(what));
    gate.promise.then(release, release);
    return gate;
  }

  async pass(what: Asked): Promise<void> {
    this.asked[what]++;
    if (!this.isUp) throw new Error('away');
    await this.delayed.get(what)?.promise;
  }

  /** Another process joins, renews, drains or starts again. */
  join(incarnation: string, draining = false): void {
    const id = incarnation.slice(0, incarnation.lastIndexOf('/'));
    this.setMember(id, { v: 1, incarnation, draining });
  }

  leave(id: string): void {
    this.setMember(id, undefined);
  }

  /** Its time to live ends; no listener is told. */
  expire(id: string): void {
    this.members.delete(id);
  }

  setMember(id: string, value: MemberValue | undefined): void {
    if (value === undefined) this.members.delete(id);
    else this.members.set(id, value);
    this.memberRevisions.set(id, ++this.revision);
    if (this.isHeard) for (const listener of this.memberListeners) listener(id, value);
  }

  /** Another process writes the lease. */
  lease(shard: number, owner: string | null, progress: Partial<ShardProgress> = {}): number {
    const lease = { v: 1 as const, writeId: 'theirs', owner, read: 0, tail: 0, open: [], ...progress };
    return this.setLease(shard, { ...lease, open: [...lease.open] });
  }

  setLease(shard: number, lease: Lease): number {
    const revision = ++this.revision;
    this.leases.set(shard, { revision, lease });
    this.tellLease(shard, lease);
    return revision;
  }

  tellLease(shard: number, lease: Lease): void {
    if (this.isHeard) for (const listener of this.leaseListeners) listener(shard, lease);
  }

  /** The shards whose lease names the incarnation. */
  shardsOf(incarnation: string | null): number[] {
    return [...this.leases]
      .filter(([, { lease }]) => lease.owner === incarnation)
      .map(([shard]) => shard)
      .toSorted((a, b) => a - b);
  }
}

class MemoryLeases implements LeaseStore {
  constructor(private readonly broker: MemoryBroker) {}

  async readAll(
    onUnreadable = (_shard: number, _revision: number): void => {},
  ): Promise<ReadonlyMap<number, StoredLease>> {
    await this.broker.pass('leases');
    for (const [shard, revision] of this.broker.unreadable) onUnreadable(shard, revision);
    return new Map(this.broker.replicaHas ?? this.broker.leases);
  }

  async write(shard: number, lease: Lease, expected: number): Promise<LeaseWrite> {
    await this.broker.whenUp();
    await this.broker.pass('write');
    if (this.broker.unreadable.has(shard)) return { kind: 'conflict', found: undefined };
    const found = this.broker.leases.get(shard);
    if ((found?.revision ?? 0) === expected) return { kind: 'written', revision: this.broker.setLease(shard, lease) };
    this.broker.tellLease(shard, lease);
    return { kind: 'conflict', found };
  }

  onWrite(listener: (shard: number, lease: Lease) => void): () => void {
    this.broker.leaseListeners.add(listener);
    return () => void this.broker.leaseListeners.delete(listener);
  }
}

class MemoryMembers implements MemberStore {
  constructor(private readonly broker: MemoryBroker) {}

  async readAll(): Promise<readonly Member[]> {
    await this.broker.pass('members');
    const { members, memberRevisions, tellsRevisions, replicaFinds } = this.broker;
    const revisionOf = (id: string) => (tellsRevisions ? { revision: memberRevisions.get(id) ?? 0 } : {});
    return replicaFinds ?? [...members].map(([id, value]) => ({ id, value, ...revisionOf(id) }));
  }

  async standing(id: string): Promise<string | undefined> {
    await this.broker.pass('standing');
    return this.broker.members.get(id)?.incarnation;
  }

  async put(id: string, value: MemberValue, _ttlMs: number, takesOver: boolean): Promise<MemberWrite> {
    try {
      await this.broker.pass('put');
    } catch {
      return { kind: 'unclear' };
    }
    const by = this.broker.members.get(id)?.incarnation;
    if (by !== undefined && by !== value.incarnation && !takesOver) return { kind: 'replaced', by };
    this.broker.setMember(id, value);
    return { kind: 'written', revision: 1 };
  }

  async removeStale(id: string, revision: number): Promise<void> {
    if (this.broker.memberRevisions.get(id) === revision) this.broker.setMember(id, undefined);
  }

  async remove(id: string): Promise<void> {
    this.broker.setMember(id, undefined);
  }

  onWrite(listener: (id: string, value: MemberValue | undefined) => void): () => void {
    this.broker.memberListeners.add(listener);
    return () => void this.broker.memberListeners.delete(listener);
  }
}

/** The process `a/1`, not started yet. */
export function setUpKeeper(options: Partial<ShardKeeperOptions> = {}) {
  const clock = new ManualClock();
  const broker = new MemoryBroker();
  const work = new ManualWork();
  const log = new ListLogger();
  const replacedBy: string[] = [];
  let ids = 0;
  work.beforeSource = () => broker.pass('source');
  const keeper = new ShardKeeper({
    ...{ clock, work, log },
    id: 'a',
    incarnation: 'a/1',
    shards: SHARDS,
    ttlMs: TTL_MS,
    renewMs: RENEW_MS,
    members: new MemoryMembers(broker),
    leases: new MemoryLeases(broker),
    newWriteId: () => `write-${++ids}`,
    describe: () => ({ capacity: 7 }),
    repair: 'run the repair',
    onReplaced: (by) => void replacedBy.push(by),
    ...options,
  });
  return { clock, broker, work, log, replacedBy, keeper };
}

/** The process `a/1`, alone and the owner of all shards. */
export async function startedKeeper() {
  const parts = setUpKeeper();
  await parts.keeper.start();
  parts.work.calls.length = 0;
  return parts;
}

/** What the assignment gives to a member. */
export function sharesOf(id: string, ...members: string[]): number[] {
  return assignShards(members, SHARDS).flatMap((owner, shard) => (owner === id ? [shard] : []));
}

export const ALL = Array.from({ length: SHARDS }, (_, shard) => shard);
