import { expect, it } from 'vitest';
import { Names } from '#contracts';
import type { KeyEntry, KeyWrite } from '#jetstream';
import { silentLogger } from '#telemetry';
import { ManualClock, settled } from '#testing';
import { ReusedIds } from './reused-ids.client.js';

const names = new Names('lk', 64);
const key = names.sessionTokens('main', 's');
const WINDOW_MS = 900_000;

/** A bucket as the broker keeps it, and those that hear of its writes. */
class Bucket {
  readonly entries = new Map<string, KeyEntry>();
  readonly listeners = new Set<(key: string, value: string) => void>();
  isAway = false;
  /** What the next writes come to, before the bucket answers as it should. */
  readonly faults: KeyWrite[] = [];

  read(name: string): Promise<KeyEntry | undefined> {
    return Promise.resolve(this.entries.get(name));
  }
  /** As the broker: it refuses to find more than 1,024 by one request. */
  readMany(): Promise<KeyEntry[]> {
    const isRefused = this.isAway || this.entries.size > 1_024;
    return isRefused ? Promise.reject(new Error('no')) : Promise.resolve([...this.entries.values()]);
  }
  async *all(): AsyncGenerator<KeyEntry> {
    if (this.isAway) throw new Error('away');
    yield* this.entries.values();
  }
  onWrite(_pattern: string, listener: (key: string, value: string) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
  write(name: string, value: string, { expected }: { expected: number }): Promise<KeyWrite> {
    const fault = this.faults.shift();
    if (fault !== undefined) return Promise.resolve(fault);
    if ((this.entries.get(name)?.revision ?? 0) !== expected) return Promise.resolve({ kind: 'conflict' });
    const revision = expected + 1;
    this.entries.set(name, { key: name, value, revision });
    for (const listener of this.listeners) listener(name, value);
    return Promise.resolve({ kind: 'written', revision });
  }
}

async function setUp(bucket = new Bucket(), maxIds?: number) {
  const clock = new ManualClock();
  const up = new Set<() => void>();
  const connection = {
    isUp: true,
    whenUp: () => Promise.resolve(),
    onUp: (listener: () => void) => {
      up.add(listener);
      return () => void up.delete(listener);
    },
  };
  const log = silentLogger;
  const bound = maxIds === undefined ? {} : { maxIds };
  const ids = new ReusedIds({ connection, bucket, names, windowMs: WINDOW_MS, clock, log, ...bound });
  await ids.start();
  return { ids, bucket, clock, connection, comeBack: () => up.forEach((listener) => listener()), listening: up };
}

it('what one process writes down the others know, and one that starts later too', async () => {
  const one = await setUp();
  const other = await setUp(one.bucket);
  await one.ids.remember(key, 'm', 5);
  const late = await setUp(one.bucket);
  for (const { ids } of [one, other, late])
    expect([ids.formerSeqOf(key, 'm'), ids.formerSeqOf(key, 'n')]).toEqual([5, 0]);
  expect(one.ids.formerSeqOf(names.sessionTokens('main', 't'), 'm')).toBe(0);
});

it('the last dead message counts, whichever ingress writes first', async () => {
  const one = await setUp();
  const other = await setUp(one.bucket);
  await Promise.all([one.ids.remember(key, 'm', 9), other.ids.remember(key, 'm', 5)]);
  for (const { ids } of [one, other, await setUp(one.bucket)]) expect(ids.formerSeqOf(key, 'm')).toBe(9);
});

it('is forgotten when the broker forgets it, and not sooner for a clock that is set', async () => {
  const { ids, clock } = await setUp();
  await ids.remember(key, 'm', 5);
  clock.setWall(WINDOW_MS * 2);
  await clock.advance(WINDOW_MS);
  expect(ids.formerSeqOf(key, 'm')).toBe(5);
  await clock.advance(1);
  expect(ids.formerSeqOf(key, 'm')).toBe(0);
});

it('a write without a clear answer is tried again; without a connection it is a 503 that names the id', async () => {
  const { ids, bucket, connection } = await setUp();
  bucket.faults.push({ kind: 'unclear' }, { kind: 'conflict' });
  await ids.remember(key, 'm', 5);
  expect(ids.formerSeqOf(key, 'm')).toBe(5);
  connection.isUp = false;
  bucket.faults.push({ kind: 'unclear' });
  await expect(ids.remember(key, 'n', 6)).rejects.toMatchObject({
    problem: { status: 503, extra: { messageId: 'n' } },
  });
});

it('what was written in an outage is read when the connection is back', async () => {
  const bucket = new Bucket();
  bucket.isAway = true;
  const { ids, comeBack, listening } = await setUp(bucket);
  bucket.listeners.clear();
  await (await setUp(bucket)).ids.remember(key, 'm', 5);
  expect(ids.formerSeqOf(key, 'm')).toBe(0);
  bucket.isAway = false;
  comeBack();
  await settled();
  expect(ids.formerSeqOf(key, 'm')).toBe(5);
  ids.stop();
  expect(listening.size).toBe(0);
});

it('one that starts later knows all of them, however many they are', async () => {
  const one = await setUp();
  for (let i = 1; i <= 1_100; i++) await one.ids.remember(key, `m${i}`, i);
  const { ids } = await setUp(one.bucket);
  expect([ids.formerSeqOf(key, 'm1'), ids.formerSeqOf(key, 'm1100')]).toEqual([1, 1_100]);
});

it('is forgotten at the same time by one that reads it again in between: else the two would take one message for two', async () => {
  const { ids, clock, comeBack } = await setUp();
  await ids.remember(key, 'm', 5);
  await clock.advance(WINDOW_MS - 1);
  comeBack();
  await settled();
  await clock.advance(2);
  expect(ids.formerSeqOf(key, 'm')).toBe(0);
});

it('there is no room for more ids than its bound: who sends one more is told to come later, and one that is known goes on', async () => {
  const { ids, clock } = await setUp(new Bucket(), 2);
  await ids.remember(key, 'a', 1);
  await clock.advance(10);
  await ids.remember(key, 'b', 2);
  ids.expectRoom(key, 'a');
  expect(() => ids.expectRoom(key, 'c')).toThrow(
    expect.objectContaining({
      problem: expect.objectContaining({ status: 503, code: 'too-many-repetitions', extra: { messageId: 'c' } }),
    }) as Error,
  );
  // Heard again it is known for longer, and stays when the other is forgotten.
  await clock.advance(10);
  await ids.remember(key, 'a', 3);
  await clock.advance(WINDOW_MS - 5);
  ids.expectRoom(key, 'c');
  await ids.remember(key, 'c', 4);
  expect(['a', 'b', 'c'].map((id) => ids.formerSeqOf(key, id))).toEqual([3, 0, 4]);
});
