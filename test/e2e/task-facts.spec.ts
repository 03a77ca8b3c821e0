import { headers } from '@nats-io/transport-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Names } from '#contracts';
import { SERVER_ERROR, type BrokerConnection } from '#jetstream';
import { connectedBroker, expectNothingLeft, until, type ConnectedBroker, type TestBroker } from '#testing';

/** Facts about the server that the guard leans on. When one of these fails, the code that leans on it has to change. */

const names = new Names('lk', 64);
const STREAM = `KV_${names.tasksBucket}`;
const KEY = `$KV.${names.tasksBucket}.main=2Fs.report`;
/** The shortest that the server can keep. */
const TTL = { 'Nats-TTL': '1s' };
const EXPECTED = 'Nats-Expected-Last-Subject-Sequence';

let connected: ConnectedBroker;
let broker: TestBroker;
let connection: BrokerConnection;

beforeEach(async () => {
  connected = await connectedBroker();
  ({ broker, connection } = connected);
  await connected.makeStreams(names);
});

afterEach(async () => {
  await connected[Symbol.asyncDispose]();
  await expectNothingLeft();
});

interface Ack {
  readonly seq?: number;
  readonly error?: { readonly err_code: number };
}

async function publish(expected: number, body: string, fields: Record<string, string> = {}): Promise<Ack> {
  const wire = headers();
  for (const [name, value] of Object.entries({ [EXPECTED]: String(expected), ...fields })) wire.set(name, value);
  return (await connection.nc.request(KEY, body, { headers: wire, timeout: 5_000 })).json<Ack>();
}

async function put(expected: number, body: string, fields: Record<string, string> = {}): Promise<number> {
  const { seq = 0, error } = await publish(expected, body, fields);
  if (error !== undefined) throw new Error(`${body} was not stored: ${JSON.stringify(error)}`);
  return seq;
}

const last = () => connected.reader.leaderLast(STREAM, KEY);
const valueNow = async (): Promise<string> => Buffer.from((await last())?.data ?? []).toString();
const untilExpired = (): Promise<boolean> => until('it has expired', async () => (await valueNow()) === '');
const isRefused = async (expected: number): Promise<boolean> =>
  (await publish(expected, 'late')).error?.err_code === SERVER_ERROR.wrongLastSequence;

describe('a task that has expired by Nats-TTL', () => {
  it('is begun anew by a write that expects 0; the sequence of before is refused', async () => {
    const first = await put(0, 'a', TTL);
    await untilExpired();
    expect(await last()).toBeUndefined();
    expect(await isRefused(first)).toBe(true);
    expect(await put(0, 'b')).toBeGreaterThan(first);
    expect(await isRefused(0)).toBe(true);
  });

  it('also after the broker was killed in between', async () => {
    const first = await put(0, 'a', TTL);
    await untilExpired();
    await broker.kill9();
    await broker.restart();
    await connection.whenUp();
    await until('the stream answers', async () => (await last()) === undefined);
    expect(await put(0, 'b')).toBeGreaterThan(first);
  });
});

describe('a write without Nats-TTL over one that has it', () => {
  it('does not expire, however long the first one had: what fails is not forgotten (G2)', async () => {
    const first = await put(0, 'succeeded', TTL);
    const second = await put(first, 'failed');
    // Written later with the same time to live: when it is gone, the time of the first is over.
    const witness = await connected.bucket(names.membersBucket).write('witness', 'x', { expected: 0, ttlMs: 1_000 });
    expect(witness.kind).toBe('written');
    await until(
      'the witness is gone',
      async () => (await connected.bucket(names.membersBucket).read('witness'))?.value === undefined,
    );
    expect([(await last())?.seq, await valueNow()]).toEqual([second, 'failed']);
    await broker.kill9();
    await broker.restart();
    await connection.whenUp();
    expect(await until('the stream answers', valueNow)).toBe('failed');
  });

  it('the other way round, the last write’s time counts', async () => {
    const first = await put(0, 'failed');
    await put(first, 'cancelled', TTL);
    await untilExpired();
  });
});

describe('sequence numbers, which tokens are made of (G4)', () => {
  it('never come back: not after an expiry, a removal, a purge, or a restart', async () => {
    const seen: number[] = [await put(0, 'a', TTL)];
    await untilExpired();
    seen.push(await put(0, 'b'));
    const bucket = connected.bucket(names.tasksBucket);
    const removed = await bucket.remove(KEY.slice(`$KV.${names.tasksBucket}.`.length), seen.at(-1) ?? 0);
    if (removed.kind !== 'written') throw new Error(removed.kind);
    seen.push(removed.revision, await put(removed.revision, 'c'));
    await connection.jsm.streams.purge(STREAM);
    expect(await last()).toBeUndefined();
    seen.push(await put(0, 'd'));
    await connection.jsm.streams.purge(STREAM);
    for (const end of [() => broker.stop(), () => broker.kill9()]) {
      await end();
      await broker.restart();
      await connection.whenUp();
      await until('the stream answers', async () => (await last()) === undefined);
      seen.push(await put(0, 'e'));
      await connection.jsm.streams.purge(STREAM);
    }
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(new Set(seen).size).toBe(seen.length);
  });

  it('of fifty writes at once that expect the same one, one is stored', async () => {
    const before = await put(0, 'a');
    const acks = await Promise.all(Array.from({ length: 50 }, (_, n) => publish(before, `writer ${n}`)));
    expect(acks.filter(({ error }) => error === undefined)).toHaveLength(1);
    expect(await valueNow()).toBe(`writer ${acks.findIndex(({ error }) => error === undefined)}`);
  });
});

describe('a queue group', () => {
  it('gives each request to one replica, and the rest to the others when one leaves', async () => {
    const heard: { replica: number; text: string }[] = [];
    const subject = names.guardSubject('acquire');
    const replicas = [0, 1, 2].map((replica) =>
      connection.nc.subscribe(subject, {
        queue: 'guard',
        callback: (_error, message) => {
          heard.push({ replica, text: message.string() });
          message.respond(String(replica));
        },
      }),
    );
    await connection.nc.flush();
    const ask = (n: number) => connection.nc.request(subject, `request ${n}`, { timeout: 5_000 });
    await Promise.all(Array.from({ length: 300 }, (_, n) => ask(n)));
    expect(heard).toHaveLength(300);
    expect(new Set(heard.map(({ text }) => text)).size).toBe(300);
    expect(new Set(heard.map(({ replica }) => replica))).toEqual(new Set([0, 1, 2]));
    replicas[0]?.unsubscribe();
    await connection.nc.flush();
    heard.length = 0;
    await Promise.all(Array.from({ length: 100 }, (_, n) => ask(n)));
    expect(heard).toHaveLength(100);
    expect(new Set(heard.map(({ replica }) => replica))).toEqual(new Set([1, 2]));
  });

  it('without a member is told to the caller at once, not by a timeout', async () => {
    const asked = connection.nc.request(names.guardSubject('acquire'), '{}', { timeout: 30_000 });
    await expect(asked).rejects.toThrow(/no responders/);
  });
});
