import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Names, systemClock } from '#contracts';
import type { BrokerConnection, PublishChannel, StreamReader } from '#jetstream';
import { KeyLeaseStore, type Lease } from '#shards';
import { silentLogger } from '#telemetry';
import { connectedBroker, expectNothingLeft, until, type ConnectedBroker, type TestBroker } from '#testing';
import { InboxTrimmer, type InboxTrimmerOptions } from './inbox-trimmer.client.js';

const names = new Names('lk', 16);
const HOUR_MS = 3_600_000;
let connected: ConnectedBroker;
let broker: TestBroker;
let connection: BrokerConnection;
let channel: PublishChannel;
let reader: StreamReader;
let leases: KeyLeaseStore;

beforeEach(async () => {
  connected = await connectedBroker();
  ({ broker, connection, channel, reader } = connected);
  leases = new KeyLeaseStore(connection, connected.bucket(names.shardsBucket), names.shards);
  await connected.makeStreams(names);
});

afterEach(async () => {
  await connected[Symbol.asyncDispose]();
  await expectNothingLeft();
});

function trimmer(keepMs: number, more: Partial<InboxTrimmerOptions> = {}): InboxTrimmer {
  const { shards } = names;
  const parts = { connection, reader, leases, names, shards, clock: systemClock, log: silentLogger };
  return new InboxTrimmer({ ...parts, keepMs, ...more });
}

async function store(count: number, subject = 'lk.in.main.s'): Promise<void> {
  for (let i = 0; i < count; i++) {
    const outcome = await channel.publish(subject, '{}', {});
    expect(outcome.kind).toBe('stored');
  }
}

async function lease(shard: number, progress: Partial<Lease>): Promise<void> {
  const value: Lease = { v: 1, writeId: randomUUID(), owner: null, read: 0, tail: 0, open: [], ...progress };
  const expected = (await leases.read(shard))?.revision ?? 0;
  expect(await leases.write(shard, value, expected)).toMatchObject({ kind: 'written' });
}

async function leaseAll(read: number): Promise<void> {
  for (let shard = 0; shard < names.shards; shard++) await lease(shard, { read });
}

async function ends(): Promise<[number, number]> {
  const { state } = await connection.jsm.streams.info(names.inboxStream);
  return [state.first_seq, state.last_seq];
}

/** Until the broker's clock says that everything stored is older. */
async function untilOlderThan(ageMs: number): Promise<void> {
  await until(`the last message is older than ${ageMs} ms`, async () => {
    const { state, ts = '' } = await connection.jsm.streams.info(names.inboxStream);
    return Date.parse(ts) - Date.parse(state.last_ts) > ageMs + 1;
  });
}

describe('the inbox', () => {
  it('is trimmed to the lowest floor of all shards, including messages outside every shard', async () => {
    await store(5);
    await store(2, 'lk.in.main.*');
    await store(5);
    await leaseAll(12);
    await lease(3, { read: 10 });
    await lease(4, { read: 11, open: [{ session: 'main.s', from: 9 }] });
    await untilOlderThan(0);
    expect(await trimmer(0).trim()).toBe(9);
    expect(await ends()).toEqual([9, 12]);
    expect(await trimmer(0).trim()).toBeUndefined();
  });

  it('keeps messages younger than `keepMs`, even if they are decided', async () => {
    await store(4);
    await leaseAll(4);
    expect(await trimmer(HOUR_MS).trim()).toBeUndefined();
    await untilOlderThan(500);
    await store(3);
    await leaseAll(7);
    expect(await trimmer(500).trim()).toBe(5);
    expect(await ends()).toEqual([5, 7]);
  });

  it('keeps its last message, so that it still shows its last sequence', async () => {
    await store(4);
    await leaseAll(4);
    await untilOlderThan(0);
    expect(await trimmer(0).trim()).toBe(4);
    expect(await ends()).toEqual([4, 4]);
  });

  it('is not trimmed while a shard has no lease, because that shard is read from its first message', async () => {
    await store(4);
    for (let shard = 0; shard < names.shards - 1; shard++) await lease(shard, { read: 4 });
    await untilOlderThan(0);
    expect(await trimmer(0).trim()).toBeUndefined();
    expect(await ends()).toEqual([1, 4]);
  });

  it('that is rewound is not trimmed, because a purge would raise its sequences', async () => {
    await store(4);
    await leaseAll(3);
    await lease(7, { read: 9 });
    await untilOlderThan(0);
    expect(await trimmer(0).trim()).toBeUndefined();
    expect(await ends()).toEqual([1, 4]);
  });

  it('that is new and empty is left alone', async () => {
    await leaseAll(0);
    expect(await trimmer(0).trim()).toBeUndefined();
    expect(await ends()).toEqual([0, 0]);
  });

  it('is trimmed by the first worker; the other worker finds nothing to do', async () => {
    await store(6);
    await leaseAll(5);
    await untilOlderThan(0);
    await Promise.all([trimmer(0).trim(), trimmer(0).trim()]);
    expect(await ends()).toEqual([5, 6]);
  });
});

describe('a trimmer that was started', () => {
  it('trims again and again, also after an outage, until it is stopped', async () => {
    const running = trimmer(0, { everyMs: 20 });
    running.start();
    try {
      await store(3);
      await leaseAll(2);
      await until('it has trimmed', async () => (await ends())[0] === 2);
      await broker.restart();
      await connection.whenUp();
      await store(3);
      await leaseAll(6);
      await until('it has trimmed again', async () => (await ends())[0] === 6);
    } finally {
      running.stop();
    }
    // A request cut by the outage times out after five seconds.
  }, 30_000);
});
