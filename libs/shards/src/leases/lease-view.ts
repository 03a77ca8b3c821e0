import type { StoredLease } from './lease.js';
import type { LeaseStore, ShardWork } from '../shard-ports.js';
import { checkSource, type SourceCheck } from './source-check.js';

export interface LeaseViewOptions {
  readonly store: LeaseStore;
  readonly source: Pick<ShardWork, 'highestRead' | 'lastSourceSeq'>;
  /** The source was found rewound, or is complete again. */
  readonly onSource: (check: SourceCheck) => void;
  /** A shard's key holds something that is not a lease; called once for each. */
  readonly onUnreadable: (shard: number, revision: number) => void;
}

const NO_NEEDS: readonly string[] = [];

/**
 * Who owns what, and whether the source still has what the leases say it had: as far as this process has read, and
 * written itself. Every action on this picture is a compare-and-set, so an outdated picture costs a refusal and no more.
 *
 * A shard whose lease cannot be read still has an owner: the owner may be of a newer version, and the lease names its
 * open sessions. The shard is left alone until a readable lease is stored, or an operator has removed the key.
 */
export class LeaseView {
  private readonly leases = new Map<number, StoredLease>();
  /** Shards whose lease cannot be read, with its revision. */
  private unreadable: ReadonlyMap<number, number> = new Map();
  private mustRead = true;
  private isSetBack = false;

  constructor(private readonly options: LeaseViewOptions) {}

  /** Reads the leases when there was news since the last read, or news is expected. Rejects in an outage. */
  async refresh(): Promise<void> {
    if (!this.mustRead) return;
    // Before the request: news that arrives while the answer is on its way may not be in the answer.
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

  /** The leases may have been rewound with everything else: forget what we know of them. */
  forgetAll(): void {
    this.leases.clear();
    this.mustRead = true;
  }

  /** The outcome of our own write: it is stored, or something else is, or nothing. */
  learn(shard: number, stored: StoredLease | undefined): void {
    if (stored === undefined) this.leases.delete(shard);
    else this.leases.set(shard, stored);
  }

  of(shard: number): StoredLease | undefined {
    return this.leases.get(shard);
  }

  /** An incarnation; null = no owner, as far as is known. */
  ownerOf(shard: number): string | null {
    return this.leases.get(shard)?.lease.owner ?? null;
  }

  /** The agents that its messages need, the most urgent first. */
  needsOf(shard: number): readonly string[] {
    return this.leases.get(shard)?.lease.needs?.map(({ agent }) => agent) ?? NO_NEEDS;
  }

  /** By the last read: the key holds something that is not a lease. */
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
    // After the marks: if it were read before them, a sound source would look rewound.
    const { highestRead } = source;
    const marks = [...this.leases.values()].map(({ lease }) => lease);
    const check = checkSource(await source.lastSourceSeq(), marks, highestRead);
    const wasSetBack = this.isSetBack;
    this.isSetBack = check.isRewound;
    // No event tells when it is repaired.
    if (check.isRewound) this.mustRead = true;
    if (check.isRewound !== wasSetBack) onSource(check);
  }

  /** A read may be behind our own writes. */
  private keepNewer(shard: number, stored: StoredLease): void {
    if (stored.revision >= (this.leases.get(shard)?.revision ?? 0)) this.leases.set(shard, stored);
  }

  private setAside(unreadable: Map<number, number>): void {
    for (const [shard, revision] of unreadable) {
      // The replica is behind our own write.
      if (revision < (this.leases.get(shard)?.revision ?? 0)) unreadable.delete(shard);
      else if (this.unreadable.get(shard) !== revision) this.options.onUnreadable(shard, revision);
    }
    for (const shard of unreadable.keys()) this.leases.delete(shard);
    this.unreadable = unreadable;
  }
}
