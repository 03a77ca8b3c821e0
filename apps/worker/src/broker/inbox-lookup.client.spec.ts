import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { Names, type SessionTokens } from '#contracts';
import {
  applyTopology,
  BrokerConnection,
  declareTopology,
  PublishChannel,
  StreamReader,
  type StoredMessage,
} from '#jetstream';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, startBroker, until, type TestBroker } from '#testing';
import { InboxLookup } from './inbox-lookup.client.js';

const MANY_BYTES = 1024 * 1024;
let names: Names;
let broker: TestBroker;
let connection: BrokerConnection;
let channel: PublishChannel;
let namespaces = 0;
let a: SessionTokens;
let b: SessionTokens;

beforeAll(async () => {
  broker = await startBroker();
  connection = await BrokerConnection.open({ url: broker.url, name: 'lookup', log: silentLogger });
  channel = new PublishChannel(connection);
});

beforeEach(async () => {
  names = new Names(`n${++namespaces}`, 16);
  await applyTopology(connection, declareTopology(names, { replicas: 1, dedupWindowMs: 60_000 }), silentLogger);
  [a, b] = [names.sessionTokens('main', 'a'), names.sessionTokens('main', 'b')];
});

afterAll(async () => {
  channel.close();
  await connection.close();
  await broker[Symbol.asyncDispose]();
  await expectNothingLeft();
});

async function store(key: SessionTokens, count: number, text = 'text'): Promise<void> {
  for (let i = 0; i < count; i++) await channel.publish(names.ingestSubject(key), text, {});
}

/** Acts as a replica that has read up to `upTo`, while the leader has all. */
class LaggingReader extends StreamReader {
  upTo = Number.MAX_SAFE_INTEGER;
  failures = 0;
  readonly leaderAsked: number[] = [];

  override async *messagesOf(stream: string, subject: string, fromSeq: number): AsyncGenerator<StoredMessage> {
    if (this.failures-- > 0) throw new Error('away');
    for await (const message of super.messagesOf(stream, subject, fromSeq)) {
      if (message.seq > this.upTo) return;
      yield message;
    }
  }
  override leaderNext(stream: string, subject: string, fromSeq: number): Promise<StoredMessage | undefined> {
    this.leaderAsked.push(fromSeq);
    return super.leaderNext(stream, subject, fromSeq);
  }
}

function setUp(to = connection) {
  const reader = new LaggingReader(to);
  const lookup = new InboxLookup({ connection: to, reader, names, isReplicated: false, log: silentLogger });
  const read = async (seqs: number[], maxBytes = MANY_BYTES) => {
    const part = await lookup.read(a, seqs, maxBytes);
    return part === undefined ? undefined : { seqs: part.messages.map(({ seq }) => seq), readTo: part.readTo };
  };
  return { reader, lookup, read };
}

it('reads the requested messages, and no others of the session or of another session', async () => {
  await store(a, 2);
  await store(b, 1);
  await store(a, 3);
  const { read, lookup, reader } = setUp();
  expect(await read([2, 4, 5])).toEqual({ seqs: [2, 4, 5], readTo: 5 });
  const part = await lookup.read(a, [2], MANY_BYTES);
  expect(part?.messages.map(({ data }) => Buffer.from(data).toString())).toEqual(['text']);
  expect(reader.leaderAsked).toEqual([]);
});

it('ends after the message that reaches the byte limit, however large it is', async () => {
  await store(a, 5, 'x'.repeat(1_000));
  const { read, reader } = setUp();
  expect(await read([1, 2, 3, 4], 1_500)).toEqual({ seqs: [1, 2], readTo: 2 });
  expect(await read([1, 2, 3, 4], 1)).toEqual({ seqs: [1], readTo: 1 });
  expect(reader.leaderAsked).toEqual([]);
});

it('treats a message as gone only when the leader does not have it', async () => {
  await store(a, 4);
  const { read, reader } = setUp();
  reader.upTo = 2;
  expect(await read([1, 2, 3, 4])).toEqual({ seqs: [1, 2, 3, 4], readTo: 4 });
  expect(reader.leaderAsked).toEqual([1, 2, 3, 4]);
  await connection.jsm.streams.deleteMessage(names.inboxStream, 3);
  expect(await read([1, 2, 3, 4])).toEqual({ seqs: [1, 2, 4], readTo: 4 });
  expect(await read([3])).toEqual({ seqs: [], readTo: 3 });
});

it('waits through an outage', async () => {
  await store(a, 2);
  const { read, reader } = setUp();
  reader.failures = 1;
  expect(await read([1, 2])).toEqual({ seqs: [1, 2], readTo: 2 });
});

it('ends without an answer when the process stops', async () => {
  const own = await BrokerConnection.open({ url: broker.url, name: 'ends', log: silentLogger });
  const { reader, read } = setUp(own);
  reader.failures = Number.MAX_SAFE_INTEGER;
  const reading = read([1]);
  await until('it was tried', () => reader.failures < Number.MAX_SAFE_INTEGER);
  await own.close();
  expect(await reading).toBeUndefined();
});

it('returns the last sequences of any number of sessions in the requested order', async () => {
  const others = Array.from({ length: 300 }, (_, i) => names.sessionTokens('main', `none-${i}`));
  await store(a, 2);
  await store(b, 1);
  await store(a, 1);
  const { lookup } = setUp();
  expect(await lookup.lastSeqs([b, ...others, a])).toEqual([3, ...others.map(() => 0), 4]);
  expect(await lookup.lastSeqs([])).toEqual([]);
});
