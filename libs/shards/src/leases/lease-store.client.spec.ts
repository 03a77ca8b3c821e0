import { describe, expect, it } from 'vitest';
import { settled } from '#testing';
import { MemoryBucket, MemoryConnection } from '../key-bucket.fixture.js';
import { KeyLeaseStore } from './lease-store.client.js';
import type { Lease } from './lease.js';
import { Gate } from '../manual-ports.fixture.js';

const lease = (writeId: string, owner: string | null = 'a/1'): Lease => ({
  ...{ v: 1, writeId, owner, read: 4, tail: 9, open: [] },
});
const mine = lease('mine');
const theirs = lease('theirs', 'b/1');

function setUp(prefix?: string) {
  const bucket = new MemoryBucket();
  const connection = new MemoryConnection();
  const store = new KeyLeaseStore(connection.asConnection, bucket.asBucket, 16, prefix);
  return { bucket, connection, store };
}

describe('the write of a lease', () => {
  it('is one compare-and-set, without a time to live: a lease also says where to resume', async () => {
    const { bucket, store } = setUp();
    const written = await store.write(3, mine, 0);
    expect(written).toEqual({ kind: 'written', revision: 1 });
    expect(bucket.writes).toEqual([{ key: '3', expected: 0, ttlMs: undefined }]);
    expect(await store.read(3)).toEqual({ revision: 1, lease: mine });
    expect(await store.write(3, lease('next'), 1)).toEqual({ kind: 'written', revision: 2 });
  });

  it('is a conflict when another member was faster, and returns what is stored now', async () => {
    const { bucket, store } = setUp();
    const revision = bucket.set('3', JSON.stringify(theirs));
    expect(await store.write(3, mine, 0)).toEqual({ kind: 'conflict', found: { revision, lease: theirs } });
    expect(bucket.writes).toHaveLength(1);
  });

  it('of a lease that is gone is a conflict with nothing found', async () => {
    const { store } = setUp();
    expect(await store.write(3, mine, 7)).toEqual({ kind: 'conflict', found: undefined });
  });

  it('whose answer was lost is recognized by its id', async () => {
    const { bucket, store } = setUp();
    bucket.faults.push('unheard');
    expect(await store.write(3, mine, 0)).toEqual({ kind: 'written', revision: 1 });
    expect(bucket.writes).toHaveLength(1);
  });

  it('that never arrived is tried again', async () => {
    const { bucket, store } = setUp();
    bucket.faults.push('lost', 'lost');
    expect(await store.write(3, mine, 0)).toEqual({ kind: 'written', revision: 1 });
    expect(bucket.writes).toHaveLength(3);
  });

  it('that never arrived, while another member wrote, is a conflict', async () => {
    const { bucket, store } = setUp();
    bucket.faults.push('lost');
    const revision = bucket.set('3', JSON.stringify(theirs));
    expect(await store.write(3, mine, 0)).toEqual({ kind: 'conflict', found: { revision, lease: theirs } });
  });

  it('whose answer was lost, and whose key could not be read, does not conflict with itself when it is tried again', async () => {
    const { bucket, store } = setUp();
    bucket.faults.push('unheard');
    bucket.readFaults = 1;
    expect(await store.write(3, mine, 0)).toEqual({ kind: 'written', revision: 1 });
    expect(bucket.writes).toHaveLength(2);
  });

  it('of the same owner with another id is a different write: two of its writes must not count as one', async () => {
    const { bucket, store } = setUp();
    const revision = bucket.set('3', JSON.stringify(lease('before')));
    expect(await store.write(3, mine, 0)).toEqual({ kind: 'conflict', found: { revision, lease: lease('before') } });
  });

  it('waits for the connection', async () => {
    const { bucket, connection, store } = setUp();
    const up = new Gate();
    connection.up = up.promise;
    const writing = store.write(3, mine, 0);
    await settled();
    expect(bucket.writes).toEqual([]);
    up.pass();
    expect((await writing).kind).toBe('written');
  });

  it('is abandoned when the process stops before the outcome is clear', async () => {
    const { bucket, connection, store } = setUp();
    bucket.faults.push('lost', 'lost');
    bucket.beforeWrite = () => void (connection.isClosed = bucket.writes.length === 1);
    expect(await store.write(3, mine, 0)).toEqual({ kind: 'abandoned' });
    expect(await store.write(3, mine, 0)).toEqual({ kind: 'abandoned' });
    expect(bucket.writes).toHaveLength(2);
  });

  it('to a key that was removed by hand succeeds: a shard without a lease has no owner', async () => {
    const { bucket, connection, store } = setUp();
    bucket.set('3', undefined);
    // It does not try for ever.
    bucket.beforeWrite = () => void (connection.isClosed = bucket.writes.length >= 2);
    expect(await store.write(3, mine, 0)).toMatchObject({ kind: 'written' });
  });

  it('over a value that is not a lease is a conflict: a newer version may have written it (L1)', async () => {
    const { bucket, store } = setUp();
    const newer = JSON.stringify({ ...theirs, v: 2 });
    bucket.set('3', newer);
    expect(await store.write(3, mine, 0)).toEqual({ kind: 'conflict', found: undefined });
    expect(bucket.entries.get('3')?.value).toBe(newer);
    // Removed by an operator, as the error message says.
    bucket.set('3', undefined);
    expect(await store.write(3, mine, 0)).toMatchObject({ kind: 'written' });
  });
});

describe('all leases', () => {
  it('are those of the shards that have one, without values that are not leases', async () => {
    const { bucket, store } = setUp();
    const revision = bucket.set('3', JSON.stringify(mine));
    bucket.set('4', 'rubbish');
    bucket.set('5', undefined);
    bucket.set('99', JSON.stringify(theirs));
    const unreadable: number[] = [];
    expect([...(await store.readAll((shard) => unreadable.push(shard)))]).toEqual([[3, { revision, lease: mine }]]);
    expect(unreadable).toEqual([4]);
    expect(await store.read(4)).toBeUndefined();
  });

  it('are announced as they are written, without values that are not leases, until the listener ends', () => {
    const { bucket, store } = setUp();
    const told: [number, Lease][] = [];
    const end = store.onWrite((shard, written) => told.push([shard, written]));
    bucket.tell('3', JSON.stringify(mine));
    bucket.tell('4', '');
    bucket.tell('5', '{}');
    end();
    bucket.tell('3', JSON.stringify(theirs));
    expect(told).toEqual([[3, mine]]);
  });

  it('of two roles are kept apart in one bucket', async () => {
    const { bucket, connection, store } = setUp('egress.');
    const other = new KeyLeaseStore(connection.asConnection, bucket.asBucket, 16);
    const told: number[] = [];
    store.onWrite((shard) => told.push(shard));
    await store.write(3, mine, 0);
    await other.write(3, theirs, 0);
    expect([...bucket.entries.keys()]).toEqual(['egress.3', '3']);
    expect([...(await store.readAll())]).toMatchObject([[3, { lease: mine }]]);
    expect([...(await other.readAll())]).toMatchObject([[3, { lease: theirs }]]);
    bucket.tell('egress.7', JSON.stringify(mine));
    expect(told).toEqual([7]);
  });
});
