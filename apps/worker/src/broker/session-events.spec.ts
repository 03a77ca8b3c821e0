import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { Names, parseTurnStarted, systemClock, type LaneEvent, type SessionTokens } from '#contracts';
import { applyTopology, BrokerConnection, declareTopology, StreamReader } from '#jetstream';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, startBroker, until, type TestBroker } from '#testing';
import { SessionEvents } from './session-events.publisher.js';
import { SessionLog } from './session-log.js';

let names: Names;
let broker: TestBroker;
let connection: BrokerConnection;
let reader: StreamReader;
let key: SessionTokens;
let events: SessionEvents;
let namespaces = 0;

beforeAll(async () => {
  broker = await startBroker();
  connection = await BrokerConnection.open({ url: broker.url, name: 'events', log: silentLogger });
  reader = new StreamReader(connection);
});

beforeEach(async () => {
  names = new Names(`n${++namespaces}`, 16);
  await applyTopology(connection, declareTopology(names, { replicas: 1, dedupWindowMs: 60_000 }), silentLogger);
  key = names.sessionTokens('main', 'a b');
  events = new SessionEvents(
    connection,
    names,
    new SessionLog({ log: silentLogger, clock: systemClock, hasContents: false }),
  );
});

afterAll(async () => {
  await connection.close();
  await broker[Symbol.asyncDispose]();
  await expectNothingLeft();
});

const started = (runId: string) => ({
  ...{ type: 'turn-started' as const, runId, attempt: 1, seqs: [1], headSeq: 0, at: 1, worker: 'w/1' },
});
const ended = (runId: string, status: 'succeeded' | 'failed' = 'succeeded'): LaneEvent => ({
  type: 'turn-ended',
  runId,
  attempt: 1,
  status,
  messages: [],
  queueDepth: 0,
});
const dropped: LaneEvent = { type: 'message-dropped', messageId: 'm2', seq: 2, reason: 'busy', queueDepth: 0 };

async function stored(count: number): Promise<Record<string, unknown>[]> {
  await until(`${count} events are stored`, async () => (await reader.leaderLastSeq(names.eventsStream)) >= count);
  const found: Record<string, unknown>[] = [];
  for (let seq = 1; seq <= count; seq++) {
    const message = await reader.message(names.eventsStream, seq);
    found.push(JSON.parse(Buffer.from(message?.data ?? new Uint8Array()).toString()));
  }
  return found;
}

it('publishes decisions with their agent and session', async () => {
  events.tell(key, dropped, 7);
  expect(await stored(1)).toEqual([{ ...dropped, agent: 'main', session: 'a b', lockKey: 'a b', at: 7 }]);
});

it('stores no event of a message that only waits', async () => {
  events.tell(key, { type: 'message-queued', messageId: 'm1', queueDepth: 1 }, 6);
  events.tell(key, dropped, 7);
  expect((await stored(1)).map(({ type }) => type)).toEqual(['message-dropped']);
});

it('publishes no text of a handler or an agent', async () => {
  events.tell(
    key,
    { ...ended('bad', 'failed'), error: 'Boom', cause: { name: 'Boom', message: 'hush' } } as LaneEvent,
    7,
  );
  const [event] = await stored(1);
  expect(event).toMatchObject({ type: 'turn-ended', error: 'Boom' });
  expect(event).not.toHaveProperty('cause');
});

it('names agent and session of a turn that began', async () => {
  events.announce(key, started('long'), false);
  expect(await stored(1)).toEqual([{ ...started('long'), agent: 'main', session: 'a b', lockKey: 'a b' }]);
});

it('publishes the end of a failed turn, however short it was', async () => {
  for (const status of ['succeeded', 'failed'] as const) events.tell(key, ended(`quick ${status}`, status), 7);
  expect((await stored(1)).map(({ runId, session }) => [runId, session])).toEqual([['quick failed', 'a b']]);
});

it('publishes the end of a turn whose agent failed a message, however short it was', async () => {
  const messages = [{ id: 'm1', seq: 1, decision: 'dead' as const, reason: 'unknown_customer' }];
  events.tell(key, { ...ended('quick'), messages } as LaneEvent, 7);
  expect(await stored(1)).toMatchObject([{ type: 'turn-ended', runId: 'quick', status: 'succeeded', messages }]);
});

it('publishes the end of a turn once, and of a successful one only if its start was published', async () => {
  events.announce(key, started('long'), false);
  for (const runId of ['quick', 'long', 'long']) events.tell(key, ended(runId), 7);
  events.tell(key, dropped, 8);
  expect((await stored(3)).map(({ type, runId }) => [type, runId])).toEqual([
    ['turn-started', 'long'],
    ['turn-ended', 'long'],
    ['message-dropped', undefined],
  ]);
});

it('keeps the last event of a turn readable, whatever events its messages have', async () => {
  events.announce(key, started('cut'), false);
  events.tell(key, dropped, 8);
  await stored(2);
  const last = await reader.leaderLast(names.eventsStream, names.turnEventsSubject(key));
  expect(parseTurnStarted(Buffer.from(last?.data ?? new Uint8Array()).toString())).toMatchObject({ runId: 'cut' });
});
