import { DeliverPolicy } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Names } from '#contracts';
import { SERVER_ERROR, type BrokerConnection, type StreamReader } from '#jetstream';
import { connectedBroker, expectNothingLeft, until, type ConnectedBroker, type TestBroker } from '#testing';

/** Facts about the server that the protocol leans on. When one of these fails, the code that leans on it has to change. */

const names = new Names('lk', 64);
let connected: ConnectedBroker;
let broker: TestBroker;
let connection: BrokerConnection;
let reader: StreamReader;

beforeEach(async () => {
  connected = await connectedBroker();
  ({ broker, connection, reader } = connected);
  await connected.makeStreams(names);
});

afterEach(async () => {
  await connected[Symbol.asyncDispose]();
  await expectNothingLeft();
});

interface Ack {
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly err_code: number };
}

async function publish(subject: string, body: string, fields: Record<string, string> = {}): Promise<Ack> {
  const wire = headers();
  for (const [name, value] of Object.entries(fields)) wire.set(name, value);
  return (await connection.nc.request(subject, body, { headers: wire, timeout: 5_000 })).json<Ack>();
}

const EXPECTED = 'Nats-Expected-Last-Subject-Sequence';

describe('facts that the protocol leans on', () => {
  it('the server’s partition is our shardOf, for 1,000 sessions', async () => {
    const keys = Array.from({ length: 1_000 }, (_, i) =>
      names.sessionTokens(i % 2 === 0 ? 'main' : `agent-${i % 7}`, `telegram:-100${i}:${i * i} ✓`),
    );
    const acks = await Promise.all(keys.map((key) => publish(names.ingestSubject(key), '{}')));
    for (const [i, key] of keys.entries()) {
      const stored = await reader.message(names.inboxStream, acks[i]?.seq ?? 0);
      expect(stored?.subject).toBe(names.inboxSubject(key));
    }
  });

  it('one’s own stored record answers 10071 to its second sending: the CAS is checked before the dedup id', async () => {
    const fields = { [EXPECTED]: '0', 'Nats-Msg-Id': 'mine' };
    expect(await publish('lk.turns.1.main.s', 'a', fields)).toMatchObject({ seq: 1 });
    expect((await publish('lk.turns.1.main.s', 'a', fields)).error?.err_code).toBe(SERVER_ERROR.wrongLastSequence);
  });

  it('the expected sequence is that of the subject, not of the stream', async () => {
    await publish('lk.turns.1.main.a', 'a', { [EXPECTED]: '0' });
    expect(await publish('lk.turns.1.main.b', 'b', { [EXPECTED]: '0' })).toMatchObject({ seq: 2 });
    expect(await publish('lk.turns.1.main.a', 'c', { [EXPECTED]: '1' })).toMatchObject({ seq: 3 });
  });

  it('a duplicate answers the first sequence, and the window outlives a kill -9 of the server', async () => {
    const fields = { 'Nats-Msg-Id': 'x1' };
    expect(await publish('lk.in.main.s', 'a', fields)).toMatchObject({ seq: 1 });
    expect(await publish('lk.in.main.s', 'a', fields)).toMatchObject({ seq: 1, duplicate: true });
    await broker.kill9();
    await broker.restart();
    await connection.whenUp();
    expect(await publish('lk.in.main.s', 'a', fields)).toMatchObject({ seq: 1, duplicate: true });
  });

  it('a restart forgets the dedup ids of messages that were trimmed', async () => {
    const fields = { 'Nats-Msg-Id': 'x1' };
    await publish('lk.in.main.s', 'a', fields);
    await connection.jsm.streams.purge(names.inboxStream);
    expect(await publish('lk.in.main.s', 'a', fields)).toMatchObject({ duplicate: true });
    await broker.restart();
    await connection.whenUp();
    const again = await publish('lk.in.main.s', 'a', fields);
    expect(again.seq).toBe(2);
    expect(again.duplicate).not.toBe(true);
  });

  it('acknowledged messages are there after a kill -9 of the server', async () => {
    const acks = await Promise.all(Array.from({ length: 200 }, (_, i) => publish('lk.in.main.s', `${i}`)));
    await broker.kill9();
    await broker.restart();
    await connection.whenUp();
    const last = Math.max(...acks.map(({ seq = 0 }) => seq));
    expect(await reader.leaderLastSeq(names.inboxStream)).toBe(last);
  });

  it('a batched last-per-subject read says up to where it read, leaves out what is not there, and takes 1,024', async () => {
    await publish('lk.turns.1.main.a', 'first');
    await publish('lk.turns.1.main.a', 'last');
    await publish('lk.turns.1.main.b', 'b');
    const { found, upToSeq } = await reader.lastPerSubject(names.turnsStream, [
      'lk.turns.1.main.a',
      'lk.turns.1.main.nobody',
    ]);
    expect([...found.values()].map(({ seq, data }) => [seq, Buffer.from(data).toString()])).toEqual([[2, 'last']]);
    expect(upToSeq).toBe(3);
    const nothing = await reader.lastPerSubject(names.turnsStream, ['lk.turns.1.main.nobody']);
    expect(nothing).toEqual({ found: new Map(), upToSeq: undefined });
    const many = Array.from({ length: 1_024 }, (_, i) => `lk.turns.1.main.x${i}`);
    expect((await reader.lastPerSubject(names.turnsStream, ['lk.turns.1.main.a', ...many.slice(1)])).found.size).toBe(
      1,
    );
    const tooMany = ['lk.turns.1.main.a', 'lk.turns.1.main.b'];
    for (let i = 0; i < 1_100; i++) await publishQuietly(`lk.turns.1.main.y${i}`);
    const all = Array.from({ length: 1_100 }, (_, i) => `lk.turns.1.main.y${i}`);
    await expect(reader.lastPerSubject(names.turnsStream, [...tooMany, ...all])).rejects.toThrow(/413/);
  });

  it('a last-per-subject answer of many large records is complete', async () => {
    const large = 'x'.repeat(200_000);
    const subjects = Array.from({ length: 40 }, (_, i) => `lk.turns.1.main.l${i}`);
    for (const subject of subjects) await publish(subject, large);
    const { found } = await reader.lastPerSubject(names.turnsStream, subjects);
    expect(found.size).toBe(40);
  });

  it('a long read comes in pieces that are bounded in bytes, and is complete', async () => {
    const large = 'x'.repeat(200_000);
    for (let i = 0; i < 30; i++) await publish('lk.turns.1.main.long', large);
    const seqs: number[] = [];
    for await (const { seq } of reader.messagesOf(names.turnsStream, 'lk.turns.1.main.long', 1)) seqs.push(seq);
    expect(seqs).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
  });

  it('a wildcard as a token is stored as it is, outside of every shard: no worker reads it, and it stops none', async () => {
    for (const token of ['*', '>']) {
      const { seq = 0 } = await publish(`lk.in.main.${token}`, '{}');
      expect((await reader.message(names.inboxStream, seq))?.subject).toBe(`lk.in.main.${token}`);
    }
  });

  it('an ordered consumer that starts beyond the last sequence neither delivers what comes below nor fails', async () => {
    await publish('lk.in.main.s', 'a');
    const consumer = await connection.js.consumers.get(names.inboxStream, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: 100,
    });
    await publish('lk.in.main.s', 'b');
    const got = await consumer.fetch({ max_messages: 1, expires: 1_000 });
    const seen: number[] = [];
    for await (const message of got) seen.push(message.seq);
    expect(seen).toEqual([]);
  });

  it('a purge up to a sequence beyond the last one makes the stream go on there, also after a kill -9, and never goes back', async () => {
    await publish('lk.in.main.s', 'a');
    await connection.jsm.streams.purge(names.inboxStream, { seq: 1_001 });
    expect(await reader.leaderLastSeq(names.inboxStream)).toBe(1_000);
    await broker.kill9();
    await broker.restart();
    await connection.whenUp();
    expect(await reader.leaderLastSeq(names.inboxStream)).toBe(1_000);
    await connection.jsm.streams.purge(names.inboxStream, { seq: 10 });
    expect(await publish('lk.in.main.s', 'b')).toMatchObject({ seq: 1_001 });
    expect((await reader.leaderNext(names.inboxStream, '>', 1))?.seq).toBe(1_001);
  });

  it('an ordered consumer that waits beyond the last sequence goes on when the stream has come there', async () => {
    for (const isPurged of [true, false]) {
      const last = await reader.leaderLastSeq(names.inboxStream);
      const consumer = await connection.js.consumers.get(names.inboxStream, {
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: last + 6,
      });
      const seen: number[] = [];
      const messages = await consumer.consume({ callback: ({ seq }) => void seen.push(seq) });
      if (isPurged) await connection.jsm.streams.purge(names.inboxStream, { seq: last + 6 });
      else for (let i = 0; i < 5; i++) await publish('lk.in.main.s', 'below');
      await publish('lk.in.main.s', 'a');
      await publish('lk.in.main.s', 'b');
      await until('both are delivered', () => seen.length === 2);
      expect(seen).toEqual([last + 6, last + 7]);
      messages.stop();
    }
  });

  it('a direct get finds the first message from a time on, and nothing beyond the last', async () => {
    const subject = 'lk.in.main.s';
    await publish(subject, 'a');
    const { seq = 0 } = await publish(subject, 'b');
    await publish(subject, 'c');
    const storedAtMs = (await reader.message(names.inboxStream, seq))?.storedAtMs ?? 0;
    expect((await reader.firstSince(names.inboxStream, 0))?.seq).toBe(1);
    const found = await reader.firstSince(names.inboxStream, storedAtMs);
    // Of the same millisecond the one before is found as well.
    expect(found?.storedAtMs).toBeGreaterThanOrEqual(storedAtMs);
    expect(found?.seq).toBeLessThanOrEqual(seq);
    const { state } = await connection.jsm.streams.info(names.inboxStream);
    expect(await reader.firstSince(names.inboxStream, Date.parse(state.last_ts) + 1)).toBeUndefined();
  });

  it('LK_TURNS keeps a record for good: it has no age and refuses rather than drops', async () => {
    const { config } = await connection.jsm.streams.info(names.turnsStream);
    expect(config).toMatchObject({ max_age: 0, max_msgs_per_subject: -1, discard: 'new', allow_direct: true });
  });
});

async function publishQuietly(subject: string): Promise<void> {
  connection.nc.publish(subject, 'a');
  if (subject.endsWith('99')) await connection.nc.flush();
}
