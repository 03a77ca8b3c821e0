import type { StoredLease } from './lease.js';
import type { LeaseStore, ShardWork } from '../shard-ports.js';
import { checkSource, type SourceCheck } from './source-check.js';

export interface LeaseViewOptions {
  readonly store: LeaseStore;
  readonly source: Pick<ShardWork, 'highestRead' | 'lastSourceSeq'>;
  /** The source was found set back, or is as it should be again. */
  readonly onSource: (check: SourceCheck) => void;
  /** What stands under a shard is no lease; told once of each. */
  readonly onUnreadable: (shard: number, revision: number) => void;
}

const NO_NEEDS: readonly string[] = [];

/**
 * Who owns what, and whether the source still has what the leases say it had: as far as this process has read, and
 * written itself. What it does by this picture is a compare-and-set, so an old one costs a refusal and no more.
 *
 * A shard whose lease cannot be read is not one without an owner: its owner may be of a newer version, and what that began
 * and holds is in the lease. It is left alone until what stands there is a lease, or was removed by an operator.
 */
export class LeaseView {
  private readonly leases = new Map<number, StoredLease>();
  /** Shards whose lease cannot be read, by its revision. */
  private unreadable: ReadonlyMap<number, number> = new Map();
  private mustRead = true;
  private isSetBack = false;

  constructor(private readonly options: LeaseViewOptions) {}

  /** Reads the leases when something was heard, or is awaited, since the last time. Rejects in an outage. */
  async refresh(): Promise<void> {
    if (!this.mustRead) return;
    // Before it is asked: what is heard of while the answer is on its way may not be in it.
    this.mustRead = false;
    try {
      await this.read();
    } catch (error) {
      this.mustRead = true;
      throw error;
    }
  }

  /** The next refresh reads. */
  expectNews(): void {
    this.mustRead = true;
  }

  /** The leases may have been set back with everything else: what was known of them is worth nothing. */
  forgetAll(): void {
    this.leases.clear();
    this.mustRead = true;
  }

  /** What a write of our own told: it stands, or something else does, or nothing. */
  learn(shard: number, stored: StoredLease | undefined): void {
    if (stored === undefined) this.leases.delete(shard);
    else this.leases.set(shard, stored);
  }

  of(shard: number): StoredLease | undefined {
    return this.leases.get(shard);
  }

  /** Incarnation; null = nobody, as far as is known. */
  ownerOf(shard: number): string | null {
    return this.leases.get(shard)?.lease.owner ?? null;
  }

  /** The agents that its messages need of its owner, the most urgent first. */
  needsOf(shard: number): readonly string[] {
    return this.leases.get(shard)?.lease.needs?.map(({ agent }) => agent) ?? NO_NEEDS;
  }

  /** By the last read: there is something that is no lease. */
  isUnreadable(shard: number): boolean {
    return this.unreadable.has(shard);
  }

  /** By the last read: nothing may begin. */
  get isSourceSetBack(): boolean {
    return this.isSetBack;
  }

  private async read(): Promise<void> {
    const { store, source, onSource } = this.options;
    const unreadable = new Map<number, number>();
    const found = await store.readAll((shard, revision) => unreadable.set(shard, revision));
    for (const [shard, stored] of found) this.keepNewer(shard, stored);
    this.setAside(unreadable);
    // After the marks: read before them, a sound source would look set back.
    const { highestRead } = source;
    const marks = [...this.leases.values()].map(({ lease }) => lease);
    const check = checkSource(await source.lastSourceSeq(), marks, highestRead);
    const wasSetBack = this.isSetBack;
    this.isSetBack = check.isRewound;
    // Nobody tells when it is healed.
    if (check.isRewound) this.mustRead = true;
    if (check.isRewound !== wasSetBack) onSource(check);
  }

  /** A read may be behind what our own writes told. */
  private keepNewer(shard: number, stored: StoredLease): void {
    if (stored.revision >= (this.leases.get(shard)?.revision ?? 0)) this.leases.set(shard, stored);
  }

  private setAside(unreadable: Map<number, number>): void {
    for (const [shard, revision] of unreadable) {
      // A replica that is behind our own write.
      if (revision < (this.leases.get(shard)?.revision ?? 0)) unreadable.delete(shard);
      else if (this.unreadable.get(shard) !== revision) this.options.onUnreadable(shard, revision);
    }
    for (const shard of unreadable.keys()) this.leases.delete(shard);
    this.unreadable = unreadable;
  }
}
