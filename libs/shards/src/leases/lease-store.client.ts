import { setTimeout as delay } from 'node:timers/promises';
import type { BrokerConnection, KeyBucket } from '#jetstream';
import { parseLease, type Lease, type StoredLease } from './lease.js';
import type { LeaseStore, LeaseWrite } from '../shard-ports.js';

const RETRY_MS = 100;

/** The leases of a role, one key per shard, on a key-value bucket. */
export class KeyLeaseStore implements LeaseStore {
  constructor(
    private readonly connection: BrokerConnection,
    private readonly bucket: KeyBucket,
    private readonly shards: number,
    /** In front of every key, so that two roles share a bucket. */
    private readonly prefix = '',
  ) {}

  async readAll(
    onUnreadable = (_shard: number, _revision: number): void => {},
  ): Promise<ReadonlyMap<number, StoredLease>> {
    const keys = Array.from({ length: this.shards }, (_, shard) => this.prefix + shard);
    const leases = new Map<number, StoredLease>();
    for (const { key, revision, value } of await this.bucket.readMany(keys)) {
      const shard = Number(key.slice(this.prefix.length));
      const lease = parseLease(value ?? '');
      if (lease !== undefined) leases.set(shard, { revision, lease });
      else onUnreadable(shard, revision);
    }
    return leases;
  }

  async read(shard: number): Promise<StoredLease | undefined> {
    const { revision, lease } = await this.look(shard);
    return lease === undefined ? undefined : { revision, lease };
  }

  /** Tries until it is clear whose write is stored: a lease in an unclear state can neither be used nor given away. */
  async write(shard: number, lease: Lease, expected: number): Promise<LeaseWrite> {
    let base = expected;
    while (!this.connection.nc.isClosed()) {
      await this.connection.whenUp();
      const outcome = await this.bucket.write(this.prefix + shard, JSON.stringify(lease), { expected: base });
      if (outcome.kind === 'written') return outcome;
      const found = await this.look(shard).catch(() => undefined);
      if (found?.lease?.writeId === lease.writeId) return { kind: 'written', revision: found.revision };
      if (found?.lease !== undefined && found.revision !== expected) {
        return { kind: 'conflict', found: { revision: found.revision, lease: found.lease } };
      }
      // A value that is not a lease may come from a newer version, whose owner works on the shard.
      if (found !== undefined && found.lease === undefined && (expected > 0 || found.isUnreadable))
        return { kind: 'conflict', found: undefined };
      // Removed by hand: the shard has no owner.
      const isNobodys = found !== undefined && found.lease === undefined && found.revision !== base;
      if (isNobodys) base = found.revision;
      else await delay(RETRY_MS);
    }
    return { kind: 'abandoned' };
  }

  onWrite(listener: (shard: number, lease: Lease) => void): () => void {
    return this.bucket.onWrite(`${this.prefix}*`, (key, text) => {
      const lease = parseLease(text);
      if (lease !== undefined) listener(Number(key.slice(this.prefix.length)), lease);
    });
  }

  /** Asks the leader. Revision 0: there is nothing under the key. */
  private async look(shard: number): Promise<{ revision: number; lease: Lease | undefined; isUnreadable: boolean }> {
    const entry = await this.bucket.read(this.prefix + shard);
    const lease = parseLease(entry?.value ?? '');
    return { revision: entry?.revision ?? 0, lease, isUnreadable: entry?.value !== undefined && lease === undefined };
  }
}
