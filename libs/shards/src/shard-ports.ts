import type { Lease, ShardProgress, StoredLease } from './leases/lease.js';
import type { Member, MemberValue } from './members/member.js';

/** What the keeper of shards needs from outside; specs use versions in memory. */

export type LeaseWrite =
  | { readonly kind: 'written'; readonly revision: number }
  /** Another member wrote; `found` is what is stored now. */
  | { readonly kind: 'conflict'; readonly found: StoredLease | undefined }
  /** The process stops. */
  | { readonly kind: 'abandoned' };

export interface LeaseStore {
  /** May be a moment behind. Rejects in an outage. Values that are not leases are reported, and left out of the answer. */
  readAll(onUnreadable?: (shard: number, revision: number) => void): Promise<ReadonlyMap<number, StoredLease>>;
  /**
   * Waits through an outage, and never rejects. `expected` 0 = there is no lease yet. It does not write over a value that is
   * not a lease: that is a conflict with nothing found.
   */
  write(shard: number, lease: Lease, expected: number): Promise<LeaseWrite>;
  /** Hints: the broker may refuse a write that is reported here, and not every write is reported. */
  onWrite(listener: (shard: number, lease: Lease) => void): () => void;
}

export type MemberWrite =
  | { readonly kind: 'written'; readonly revision: number }
  /** Another incarnation is stored under the id. */
  | { readonly kind: 'replaced'; readonly by: string }
  | { readonly kind: 'unclear' };

export interface MemberStore {
  /** May be a moment behind. Rejects in an outage. */
  readAll(): Promise<readonly Member[]>;
  /** Asks the leader: the incarnation that is stored under the id. Rejects in an outage. */
  standing(id: string): Promise<string | undefined>;
  /** Puts or renews; replaces a former incarnation only when `takesOver`. Never rejects. */
  put(id: string, value: MemberValue, ttlMs: number, takesOver: boolean): Promise<MemberWrite>;
  remove(id: string): Promise<void>;
  /** Removes what another process left under its id, unless it has written since. Never rejects. */
  removeStale(id: string, revision: number): Promise<void>;
  /** Hints, as with leases. `value` undefined = removed. */
  onWrite(listener: (id: string, value: MemberValue | undefined) => void): () => void;
}

/** How a shard begins. */
export interface ShardStart extends ShardProgress {
  /** Its last owner did not hand it over: work that it had begun may still run somewhere, or be lost. */
  readonly isCrash: boolean;
}

/** The work of a shard: what the lanes, or a delivery, plug in. */
export interface ShardWork {
  /** Starts the work; resolves when the shard is being read, even through an outage. Rejects only for a bug. */
  open(shard: number, start: ShardStart): Promise<void>;
  /** How many turns run that a handover would leave in handoff. */
  running(shard: number): number;
  /** How far it is; `undefined` while that is not known. */
  progress(shard: number): Promise<ShardProgress | undefined>;
  /**
   * Begins nothing more and waits for what is in flight. When at most `maxHandoffs` turns run, it leaves these in handoff and
   * resolves with where the next owner resumes.
   */
  release(shard: number, maxHandoffs: number): Promise<ShardProgress>;
  /** The shard has another owner: turns of it that still run here are zombies. */
  drop(shard: number): void;
  /** The shard is certainly ours (again): what waited for that resumes. */
  resume(shard: number): void;
  /** The others heard nothing of this process for a while: its sessions in handoff may have been given up for dead. */
  recheckHandoffs(): void;
  /** The highest sequence of the source that was read here: the source once had it, whatever the leases say. */
  readonly highestRead: number;
  /** The last sequence of the source, from its leader. Rejects in an outage. */
  lastSourceSeq(): Promise<number>;
}
