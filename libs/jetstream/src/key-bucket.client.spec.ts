import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Names } from '#contracts';
import { silentLogger, type Logger } from '#telemetry';
import {
  connectedBroker,
  expectNothingLeft,
  startFaultProxy,
  until,
  type ConnectedBroker,
  type TestBroker,
} from '#testing';
import { KeyBucket } from './key-bucket.client.js';
import { BrokerConnection } from './connection/nats-connection.client.js';
import { PublishChannel, type PublishOutcome } from './writing/publish-channel.publisher.js';
import { BrokerAwayError } from './connection/broker-away-error.js';
import { SERVER_ERROR } from './connection/server-errors.js';
import { StreamReader } from './reading/stream-reader.client.js';

/** test/e2e/lease-facts shows what the server does with keys; this spec shows what a bucket makes of its answers. */

interface Sent {
  readonly subject: string;
  readonly body: string;
  readonly headers: Record<string, string>;
}

/** A bucket `b` whose writes get these outcomes one after another, and then the last one for ever. */
function bucketOf(...outcomes: PublishOutcome[]) {
  const sent: Sent[] = [];
  const warned: string[] = [];
  const channel = {
    publish(subject: string, body: string, headers: Record<string, string>) {
      sent.push({ subject, body, headers });
      return Promise.resolve(outcomes[Math.min(sent.length, outcomes.length) - 1]);
    },
  } as unknown as PublishChannel;
  const log: Logger = { ...silentLogger, warn: (_fields: object, message: string) => void warned.push(message) };
  const nothing = undefined as never;
  return { bucket: new KeyBucket(nothing, channel, nothing, 'b', log), sent, warned };
}

const stored: PublishOutcome = { kind: 'stored', seq: 12, duplicate: false };
const refused = (code: number): PublishOutcome => ({ kind: 'refused', code, description: 'no' });

describe('a write', () => {
  it('is a compare-and-set of one key; the stored sequence is its revision', async () => {
    const { bucket, sent } = bucketOf(stored);
    expect(await bucket.write('k', 'v', { expected: 7 })).toEqual({ kind: 'written', revision: 12 });
    const headers = { 'Nats-Expected-Last-Subject-Sequence': '7' };
    expect(sent).toEqual([{ subject: '$KV.b.k', body: 'v', headers }]);
  });

  it('of a new key expects that the key does not exist', async () => {
    const { bucket, sent } = bucketOf(stored);
    await bucket.write('k', 'v', { expected: 0 });
    expect(sent[0]?.headers).toEqual({ 'Nats-Expected-Last-Subject-Sequence': '0' });
  });

  it.each([
    [1, '1s'],
    [999, '1s'],
    [1_000, '1s'],
    [1_001, '2s'],
    [10_000, '10s'],
  ])('sets its time to live every time, in whole seconds rounded up: %i ms is %s', async (ttlMs, header) => {
    const { bucket, sent } = bucketOf(stored);
    await bucket.write('k', 'v', { expected: 7, ttlMs });
    expect(sent[0]?.headers).toEqual({ 'Nats-Expected-Last-Subject-Sequence': '7', 'Nats-TTL': header });
  });

  it('that removes a key is a compare-and-set too, and leaves a mark for a minute', async () => {
    const { bucket, sent } = bucketOf(stored);
    expect(await bucket.remove('k', 7)).toEqual({ kind: 'written', revision: 12 });
    const headers = { 'Nats-Expected-Last-Subject-Sequence': '7', 'Nats-TTL': '60s', 'KV-Operation': 'DEL' };
    expect(sent).toEqual([{ subject: '$KV.b.k', body: '', headers }]);
  });

  it('is a conflict only when the server says that the revision is another one', async () => {
    const { bucket, sent, warned } = bucketOf(refused(SERVER_ERROR.wrongLastSequence));
    expect(await bucket.write('k', 'v', { expected: 7 })).toEqual({ kind: 'conflict' });
    expect([sent.length, warned]).toEqual([1, []]);
  });

  it('that meets another write in flight is tried again: it is neither won nor lost', async () => {
    const inFlight = refused(SERVER_ERROR.writeInFlight);
    const won = bucketOf(inFlight, inFlight, stored);
    expect(await won.bucket.write('k', 'v', { expected: 7, ttlMs: 1_000 })).toMatchObject({ kind: 'written' });
    expect(won.sent).toEqual([won.sent[0], won.sent[0], won.sent[0]]);
    const lost = bucketOf(inFlight, refused(SERVER_ERROR.wrongLastSequence));
    expect(await lost.bucket.write('k', 'v', { expected: 7 })).toEqual({ kind: 'conflict' });
  });

  it('is unclear when another write stays in flight for ever', async () => {
    const { bucket, sent, warned } = bucketOf(refused(SERVER_ERROR.writeInFlight));
    expect(await bucket.write('k', 'v', { expected: 7 })).toEqual({ kind: 'unclear' });
    expect([sent.length, warned.length]).toEqual([5, 1]);
  });

  it.each<[string, PublishOutcome]>([
    ['no answer came', { kind: 'unknown', why: 'timeout' }],
    ['the connection was lost', { kind: 'unknown', why: 'disconnected' }],
    ['nothing was sent', { kind: 'unsent', why: 'disconnected' }],
    ['no stream listens', { kind: 'unsent', why: 'no-responders' }],
    ['it cannot be sent', { kind: 'unsendable', description: 'too large' }],
  ])('is unclear, and not tried again, when %s', async (_why, outcome) => {
    const { bucket, sent } = bucketOf(outcome, stored);
    expect(await bucket.write('k', 'v', { expected: 7 })).toEqual({ kind: 'unclear' });
    expect(await bucketOf(outcome).bucket.remove('k', 7)).toEqual({ kind: 'unclear' });
    expect(sent).toHaveLength(1);
  });

  it('that is refused for any other reason is unclear, and is logged', async () => {
    const { bucket, sent, warned } = bucketOf(refused(10_077));
    expect(await bucket.write('k', 'v', { expected: 7 })).toEqual({ kind: 'unclear' });
    expect([sent.length, warned]).toEqual([1, ['the broker refuses a key']]);
  });
});

describe('a bucket of a real broker', () => {
  const names = new Names('lk', 64);
  let connected: ConnectedBroker;
  let broker: TestBroker;
  let connection: BrokerConnection;
  let bucket: KeyBucket;

  beforeAll(async () => {
    connected = await connectedBroker();
    ({ broker, connection } = connected);
    await connected.makeStreams(names);
    bucket = connected.bucket(names.shardsBucket);
  });

  afterAll(async () => {
    await connected[Symbol.asyncDispose]();
    await expectNothingLeft();
  });

  it('finds all named keys, even when they do not fit into one answer', async () => {
    const keys = Array.from({ length: names.shards }, (_, i) => `large.${i}`);
    const value = 'x'.repeat(20 * 1024);
    await Promise.all(keys.map((key) => bucket.write(key, value, { expected: 0 })));
    const found = await bucket.readMany([...keys, 'large.none']);
    expect(found.map(({ key }) => key).toSorted()).toEqual(keys.toSorted());
    expect(new Set(found.map((entry) => entry.value))).toEqual(new Set([value]));
    expect(new Set(found.map(({ revision }) => revision)).size).toBe(keys.length);
  });

  it('finds all keys of a pattern, even when there are too many for one answer', async () => {
    const keys = Array.from({ length: 1_100 }, (_, i) => `many.${i}`);
    await Promise.all(keys.map((key) => bucket.write(key, 'v', { expected: 0 })));
    const gone = await bucket.read('many.7');
    await bucket.remove('many.7', gone?.revision ?? 0);
    await expect(bucket.readMany(['many.*'])).rejects.toThrow();
    const found: string[] = [];
    for await (const { key, value } of bucket.all('many.*')) found.push(`${key}=${value}`);
    const left = keys.filter((key) => key !== 'many.7').map((key) => `${key}=v`);
    expect(found.toSorted()).toEqual(left.toSorted());
  });

  it('is separate from other buckets: the same key in another bucket is another key', async () => {
    const other = connected.bucket(names.membersBucket);
    await bucket.write('same', 'a', { expected: 0 });
    expect(await other.read('same')).toBeUndefined();
    expect((await other.write('same', 'b', { expected: 0 })).kind).toBe('written');
    expect(await bucket.read('same')).toMatchObject({ key: 'same', value: 'a' });
    expect(await other.readMany(['*'])).toMatchObject([{ key: 'same', value: 'b' }]);
  });

  it('that does not exist is unclear to write and an error to read: no caller may take it for an empty one', async () => {
    const none = connected.bucket('lk_none');
    expect(await none.write('k', 'v', { expected: 0 })).toEqual({ kind: 'unclear' });
    await expect(none.read('k')).rejects.toThrow();
    await expect(none.readMany(['*'])).rejects.toThrow();
  });

  it('tells listeners of writes to keys of their pattern, also of refused writes, until they end', async () => {
    const told: string[] = [];
    const end = bucket.onWrite('told-*', () => told.push('never: a star is a whole token'));
    const endOne = bucket.onWrite('told.*', (key, value) => told.push(`${key}=${value}`));
    await bucket.write('told.a', '1', { expected: 0 });
    expect(await bucket.write('told.b', '2', { expected: 99 })).toEqual({ kind: 'conflict' });
    await bucket.write('untold.a', '3', { expected: 0 });
    await connection.nc.flush();
    expect(told).toEqual(['told.a=1', 'told.b=2']);
    endOne();
    await bucket.write('told.c', '4', { expected: 0 });
    await connection.nc.flush();
    expect(told).toHaveLength(2);
    end();
  });

  it('shows a write whose answer was lost to a reader of the key: the write itself is unclear', async () => {
    await using proxy = await startFaultProxy(broker.port);
    const through = await BrokerConnection.open({ url: proxy.url, name: 'lossy', log: silentLogger });
    const lossy = new PublishChannel(through, { timeoutMs: 300 });
    const bucketThrough = new KeyBucket(through, lossy, new StreamReader(through), names.shardsBucket, silentLogger);
    proxy.dropFromServer();
    expect(await bucketThrough.write('lost', 'mine', { expected: 0 })).toEqual({ kind: 'unclear' });
    expect(await bucket.read('lost')).toMatchObject({ value: 'mine' });
    proxy.heal();
    await through.whenUp();
    lossy.close();
    await through.close();
  });

  it('that is away is unclear to write and an error to read, and works when it is back', async () => {
    await bucket.write('kept', 'a', { expected: 0 });
    const revision = (await bucket.read('kept'))?.revision ?? 0;
    await broker.stop();
    await until('the connection is down', () => !connection.isUp);
    expect(await bucket.write('kept', 'b', { expected: revision })).toEqual({ kind: 'unclear' });
    expect(await bucket.remove('kept', revision)).toEqual({ kind: 'unclear' });
    await expect(bucket.readMany(['*'])).rejects.toThrow(BrokerAwayError);
    await broker.restart();
    await connection.whenUp();
    expect(await bucket.read('kept')).toMatchObject({ value: 'a', revision });
    expect((await bucket.write('kept', 'b', { expected: revision })).kind).toBe('written');
  });
});
