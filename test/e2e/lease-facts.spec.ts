import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Names } from '#contracts';
import type { BrokerConnection, KeyBucket } from '#jetstream';
import { connectedBroker, expectNothingLeft, until, type ConnectedBroker, type TestBroker } from '#testing';

/**
 * Facts about keys with a time to live that ownership leans on. When one of these fails, the code that leans on it has to
 * change.
 */

const names = new Names('lk', 64);
/** The shortest that the server can keep. */
const TTL_MS = 1_000;
let connected: ConnectedBroker;
let broker: TestBroker;
let connection: BrokerConnection;
let bucket: KeyBucket;

beforeEach(async () => {
  connected = await connectedBroker();
  ({ broker, connection } = connected);
  await connected.makeStreams(names);
  bucket = connected.bucket(names.membersBucket);
});

afterEach(async () => {
  await connected[Symbol.asyncDispose]();
  await expectNothingLeft();
});

async function put(key: string, value: string, expected = 0, ttlMs?: number): Promise<number> {
  const written = await bucket.write(key, value, { expected, ...(ttlMs === undefined ? {} : { ttlMs }) });
  if (written.kind !== 'written') throw new Error(`${key} was not written: ${written.kind}`);
  return written.revision;
}

const keysNow = async (): Promise<string[]> => (await bucket.readMany(['*'])).map(({ key }) => key).toSorted();

async function untilGone(key: string): Promise<void> {
  await until(`${key} has expired`, async () => (await bucket.read(key))?.value === undefined);
}

describe('a key with a time to live', () => {
  it('expires: then it is gone for every reader, while a key without one stays', async () => {
    await put('for-good', 'a');
    await put('mortal', 'b', 0, TTL_MS);
    expect(await keysNow()).toEqual(['for-good', 'mortal']);
    await untilGone('mortal');
    expect(await keysNow()).toEqual(['for-good']);
  });

  it('never expires before its time, by the clock of a writer that looked before it wrote', async () => {
    const before = performance.now();
    await put('mortal', 'a', 0, TTL_MS);
    await untilGone('mortal');
    expect(performance.now() - before).toBeGreaterThanOrEqual(TTL_MS);
  });

  it('lives on by every renewal, and expires after the last one', async () => {
    let revision = await put('renewed', 'first', 0, 2 * TTL_MS);
    // Written once, at the same time as the first of the renewed one, and with the same time to live.
    await put('left-alone', 'a', 0, 2 * TTL_MS);
    await until('the one that is left alone has expired', async () => {
      revision = await put('renewed', `after ${revision}`, revision, 2 * TTL_MS);
      return (await bucket.read('left-alone'))?.value === undefined;
    });
    expect(await keysNow()).toEqual(['renewed']);
    expect((await bucket.read('renewed'))?.revision).toBe(revision);
    await untilGone('renewed');
  });

  it('that was renewed without one stays for good: the time to live belongs to the write, not to the key', async () => {
    const revision = await put('mortal', 'a', 0, TTL_MS);
    await put('mortal', 'b', revision);
    await put('witness', 'c', 0, TTL_MS);
    await untilGone('witness');
    expect((await bucket.read('mortal'))?.value).toBe('b');
  });

  it('may be made anew after it expired as if it had never been', async () => {
    const first = await put('mortal', 'a', 0, TTL_MS);
    await untilGone('mortal');
    // A worker that still has the old revision has lost it, also when no other worker came.
    expect(await bucket.write('mortal', 'late', { expected: first })).toEqual({ kind: 'conflict' });
    const expected = (await bucket.read('mortal'))?.revision ?? 0;
    expect(expected).toBe(0);
    expect(await put('mortal', 'b', 0, TTL_MS)).toBeGreaterThan(first);
    expect((await bucket.read('mortal'))?.value).toBe('b');
  });

  it('is told to listeners when it is written and when it is removed, but not when it expires', async () => {
    const told: [string, string][] = [];
    const end = bucket.onWrite('*', (key, value) => told.push([key, value]));
    await connection.nc.flush();
    await put('mortal', 'a', 0, TTL_MS);
    await untilGone('mortal');
    const revision = await put('removed', 'b');
    await bucket.remove('removed', revision);
    await until('the removal is told', () => told.length >= 3);
    expect(told).toEqual([
      ['mortal', 'a'],
      ['removed', 'b'],
      ['removed', ''],
    ]);
    end();
  });
});

describe('a write', () => {
  it('that expects another revision than the one that stands is a conflict, and changes nothing', async () => {
    const first = await put('key', 'a');
    const second = await put('key', 'b', first);
    expect(await bucket.write('key', 'stale', { expected: first })).toEqual({ kind: 'conflict' });
    expect(await bucket.write('key', 'none', { expected: 0 })).toEqual({ kind: 'conflict' });
    expect(await bucket.remove('key', first)).toEqual({ kind: 'conflict' });
    expect(await bucket.read('key')).toMatchObject({ value: 'b', revision: second });
  });

  it('of ten at once with the same expectation wins once', async () => {
    const writes = await Promise.all(
      Array.from({ length: 10 }, (_, i) => bucket.write('key', `${i}`, { expected: 0, ttlMs: 10_000 })),
    );
    expect(writes.filter(({ kind }) => kind === 'written')).toHaveLength(1);
    expect(writes.filter(({ kind }) => kind === 'conflict')).toHaveLength(9);
    const winner = writes.findIndex(({ kind }) => kind === 'written');
    expect((await bucket.read('key'))?.value).toBe(`${winner}`);
  });

  it('of one key does not disturb the expectation of another', async () => {
    const one = await put('one', 'a');
    await put('two', 'a');
    expect(await put('one', 'b', one)).toBeGreaterThan(one);
  });
});

describe('a removed key', () => {
  it('is gone for every reader at once, and its next write has to expect the removal', async () => {
    const told: string[] = [];
    const end = bucket.onWrite('*', (key, value) => told.push(`${key}=${value}`));
    await connection.nc.flush();
    const first = await put('key', 'a', 0, 10_000);
    const removed = await bucket.remove('key', first);
    expect(removed.kind).toBe('written');
    await until('the removal is told', () => told.includes('key='));
    expect(await keysNow()).toEqual([]);
    const left = await bucket.read('key');
    expect(left).toMatchObject({ value: undefined });
    expect(left?.revision).toBeGreaterThan(first);
    expect(await bucket.write('key', 'b', { expected: 0 })).toEqual({ kind: 'conflict' });
    expect(await bucket.write('key', 'b', { expected: first })).toEqual({ kind: 'conflict' });
    await put('key', 'b', left?.revision);
    expect(await keysNow()).toEqual(['key']);
    end();
  });
});

describe('a broker that was away', () => {
  it('for longer than the time to live has expired every such key when it is back, and only those', async () => {
    for (const key of ['m1', 'm2', 'm3']) await put(key, 'a', 0, TTL_MS);
    const kept = await put('for-good', 'b');
    const written = performance.now();
    await broker.stop();
    await until('the time to live is over', () => performance.now() - written > TTL_MS + 500);
    await broker.restart();
    await connection.whenUp();
    await until('they have expired', async () => (await keysNow()).length === 1);
    expect(await bucket.read('for-good')).toMatchObject({ value: 'b', revision: kept });
    for (const key of ['m1', 'm2', 'm3']) await put(key, 'c', 0, TTL_MS);
  });

  it('for less leaves every key, and renewals go on with the revisions of before', async () => {
    const revision = await put('member', 'a', 0, 30_000);
    await broker.kill9();
    await broker.restart();
    await connection.whenUp();
    expect(await bucket.read('member')).toMatchObject({ value: 'a', revision });
    await put('member', 'b', revision, 30_000);
  });
});
