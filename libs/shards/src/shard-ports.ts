import type { Lease, ShardProgress, StoredLease } from './leases/lease.js';
import type { Member, MemberValue } from './members/member.js';

/** What the keeper of shards needs from the outside; specs plug in memory. */

export type LeaseWrite =
  | { readonly kind: 'written'; readonly revision: number }
  /** Somebody else wrote; `found` is what stands there now. */
  | { readonly kind: 'conflict'; readonly found: StoredLease | undefined }
  /** The process stops. */
  | { readonly kind: 'abandoned' };

export interface LeaseStore {
  /** May be a moment behind. Rejects in an outage. What is no lease is told, and is not in the answer. */
  readAll(onUnreadable?: (shard: number, revision: number) => void): Promise<ReadonlyMap<number, StoredLease>>;
  /**
   * Waits through an outage, and never rejects. `expected` 0 = there is no lease yet. In place of something that is no lease
   * nothing is written: that is a conflict with nothing found.
   */
  write(shard: number, lease: Lease, expected: number): Promise<LeaseWrite>;
  /** Hints: what is told may have been refused, and not everything is told. */
  onWrite(listener: (shard: number, lease: Lease) => void): () => void;
}

export type MemberWrite =
  | { readonly kind: 'written'; readonly revision: number }
  /** Another incarnation stands under the id. */
  | { readonly kind: 'replaced'; readonly by: string }
  | { readonly kind: 'unclear' };

export interface MemberStore {
  /** May be a moment behind. Rejects in an outage. */
  readAll(): Promise<readonly Member[]>;
  /** By the leader: the incarnation that stands under the id. Rejects in an outage. */
  standing(id: string): Promise<string | undefined>;
  /** Puts or renews; takes the place of a former incarnation only when `takesOver`. Never rejects. */
  put(id: string, value: MemberValue, ttlMs: number, takesOver: boolean): Promise<MemberWrite>;
  remove(id: string): Promise<void>;
  /** Removes what another process left under its id, unless it wrote since. Never rejects. */
  removeStale(id: string, revision: number): Promise<void>;
  /** Hints, as with leases. `value` undefined = removed. */
  onWrite(listener: (id: string, value: MemberValue | undefined) => void): () => void;
}

/** How a shard begins. */
export interface ShardStart extends ShardProgress {
  /** Its last owner did not hand it over: what it had begun may still run somewhere, or be lost. */
  readonly isCrash: boolean;
}

/** The work of a shard: what the lanes, or a delivery, plug in. */
export interface ShardWork {
  /** Begins; resolves when the shard is being read, through an outage too. Rejects only for a bug. */
  open(shard: number, start: ShardStart): Promise<void>;
  /** How much runs that a handover would leave behind as held. */
  running(shard: number): number;
  /** How far it is; `undefined` while that cannot be told. */
  progress(shard: number): Promise<ShardProgress | undefined>;
  /**
   * Begins nothing more and ends what is on its way; when no more than `maxHandoffs` things run, these go on as held, and it
   * resolves with where the next owner goes on.
   */
  release(shard: number, maxHandoffs: number): Promise<ShardProgress>;
  /** The shard is somebody else's: what runs of it is a zombie's work. */
  drop(shard: number): void;
  /** The shard is certainly ours (again): what waited for that goes on. */
  resume(shard: number): void;
  /** Nobody heard of this process for a while: what it holds of others' shards may have been given up for dead. */
  recheckHandoffs(): void;
  /** The highest sequence of the source that was read here: it had this once, whatever the leases say. */
  readonly highestRead: number;
  /** The last sequence of the source, by its leader. Rejects in an outage. */
  lastSourceSeq(): Promise<number>;
}
