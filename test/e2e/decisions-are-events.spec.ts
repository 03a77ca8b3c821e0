import { afterEach, expect, it } from 'vitest';
import { Names } from '#contracts';
import { BrokerConnection } from '#jetstream';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, until } from '#testing';
import { ApiClient } from '../support/api-client.js';
import { startCluster, type Cluster } from '../support/cluster.js';
import { startHoldingAgent, type HoldingAgent } from '../support/holding-agent.js';
import { answerJson, answerStatus } from '../support/recording-agent.js';
import {
  decisionsOf,
  eventsIn,
  isStarted,
  recordsIn,
  toldBy,
  type Decided,
  type Recorded,
  type SessionEvent,
} from '../support/stream-decisions.js';

afterEach(expectNothingLeft);

/**
 * What the streams hold after some traffic: each decision of each record is told by one event, and each event of a
 * decision has its record.
 */

const names = new Names('lk', 64);
/** Long enough for three requests on a busy machine. */
const DEBOUNCE = { debounceMs: 1_500, maxDebounceMs: 8_000 };

const agentsAt = (url: string): object => ({
  defaults: { backoffInitialMs: 20, maxAttempts: 2, turnTimeoutMs: 20_000 },
  queue: { url },
  fifo: { url, strategy: 'fifo' },
  burst: { url, strategy: 'burst', debounceMs: 300 },
  debounce: { url, strategy: 'debounce', ...DEBOUNCE },
  dropping: { url, strategy: 'drop' },
  oldest: { url, maxQueueSize: 1 },
  silent: { url, maxQueueSize: 1, onQueueFull: 'drop-newest', overflowAction: 'silent' },
  summary: { url, maxQueueSize: 1, onQueueFull: 'summarize' },
  impatient: { url, queueTimeoutMs: 1_000, queueEntryTtlMs: 500 },
  beside: { url, strategy: 'concurrent', maxConcurrent: 1, maxQueueSize: 1 },
  hasty: { url, turnTimeoutMs: 200 },
});

it('every decision of every record is told by one event, and no event tells of a decision without a record', async () => {
  await using agent = await startHoldingAgent(({ message: { text }, attempt }, response) => {
    if (text === 'refuse') answerStatus(response, 404);
    else if (text === 'fail' || (text === 'stumble' && attempt === 1)) answerStatus(response, 500);
    else if (text !== 'hang') answerJson(response, { replies: ['done'] });
  });
  await using cluster = await startCluster(['w'], { settings: { agents: agentsAt(agent.url) } });
  const expected = await makeTraffic(cluster, agent);
  // What it still has to say is sent before it ends.
  await cluster.of('w').stop();

  const connection = await BrokerConnection.open({ url: cluster.broker.url, name: 'spec', log: silentLogger });
  try {
    const records = await recordsIn(connection, names);
    const decided = records.flatMap(decisionsOf);
    const events = await until('as many decisions are told', async () => {
      const found = await eventsIn(connection, names);
      return found.flatMap(toldBy).length >= decided.length ? found : undefined;
    });
    expect(sorted(events.flatMap(toldBy))).toEqual(sorted(decided));
    expect(countsOf(decided)).toEqual(expected);
    expect(retriesToldBy(events)).toEqual(retriesOf(records));
    for (const event of events) expectWhole(event);
    expect(new Set(events.filter(isStarted).map(({ runId }) => runId))).toEqual(
      new Set(records.flatMap(({ record }) => (record.kind === 'turn' ? [record.runId] : []))),
    );
  } finally {
    await connection.close();
  }
});

/** Every way in which a message can end today; answers how many end in which. */
async function makeTraffic(cluster: Cluster, agent: HoldingAgent) {
  const of = (name: string) => {
    const api = new ApiClient(cluster.ingress.url ?? '', name);
    const session = `a chat with ${name}: ü`;
    const send = (id: string, text = 'x', wait?: string) =>
      api.send(session, { id, text }, wait === undefined ? {} : { wait });
    const hold = async (...behind: string[]) => {
      await agent.hold(api, session);
      for (const id of behind) await send(id);
    };
    const letGo = (count: number) => {
      agent.letGo(session);
      return api.decided(session, count);
    };
    return { api, session, send, hold, letGo };
  };
  const queue = async () => {
    const { send, hold, letGo, api, session } = of('queue');
    await hold('a', 'b', 'c');
    const cancelled = await post(`${api.path(session)}/messages/b/cancel?wait=20s`);
    expect(cancelled).toMatchObject({ cancelled: [{ id: 'b' }] });
    await letGo(5);
    for (const text of ['refuse', 'fail', 'stumble']) await send(text, text, '20s');
    const hung = send('hang', 'hang', '20s');
    await until('it hangs', () => agent.calls.some(({ message }) => message.text === 'hang'));
    await post(`${api.path(session)}/cancel?wait=20s`);
    expect((await hung).body.decision).toBe('cancelled');
  };
  const overflow = async (name: string) => {
    const { api, session, hold, letGo } = of(name);
    await hold('a', 'b', 'c');
    // It is dropped while the turn runs, and then all that came before it was read.
    await api.send(session, { id: 'd', text: 'x', strategy: 'drop' }, { wait: '20s' });
    await letGo(5);
  };
  const beside = async () => {
    const { api, session, hold, letGo } = of('beside');
    await hold('a', 'b', 'c');
    await api.decided(session, 2);
    await letGo(4);
  };
  const together = async (name: string) => {
    const { send, api, session } = of(name);
    for (const id of ['a', 'b', 'c']) await send(id);
    await api.decided(session, 3);
  };
  const impatient = async () => {
    const { hold, letGo, send } = of('impatient');
    await hold();
    expect((await send('a', 'x', '20s')).body.decision).toBe('expired');
    await letGo(2);
  };
  const rubbish = async () => {
    const connection = await BrokerConnection.open({ url: cluster.broker.url, name: 'rubbish', log: silentLogger });
    const key = names.sessionTokens('fifo', 'rubbish');
    await connection.nc.request(names.ingestSubject(key), 'this is no JSON');
    await connection.close();
    await of('fifo').api.decided('rubbish', 1);
  };
  await Promise.all([
    ...[queue(), impatient(), rubbish(), together('debounce'), together('burst')],
    ...['fifo', 'dropping', 'oldest', 'silent', 'summary'].map(overflow),
    beside(),
    of('hasty').send('hang', 'hang', '20s'),
  ]);
  return {
    // queue: hold, a, c, stumble; burst and fifo: all; the first of the others, and what their queue holds.
    handled: 4 + 3 + 4 + 1 + 1 + 2 + 2 + 2 + 1 + 2,
    dead: 3,
    cancelled: 2,
    dropped: 3 + 2 + 2 + 5 + 2,
    skipped: 2,
    superseded: 2,
    expired: 1,
    rejected: 1,
  };
}

async function post(url: string): Promise<unknown> {
  return (await fetch(url, { method: 'POST' })).json();
}

/** Which attempts are said to come: those after a failure. */
function retriesOf(records: readonly Recorded[]): unknown[] {
  const notes = records.flatMap(({ session, record }) =>
    record.kind === 'note' && record.messages.length === 0 && record.run !== null
      ? [{ session, runId: record.run.runId, attempt: record.run.attempt }]
      : [],
  );
  expect(notes.length).toBeGreaterThan(0);
  return sorted(notes);
}

function retriesToldBy(events: readonly SessionEvent[]): unknown[] {
  return sorted(
    events.flatMap((event) =>
      event.type === 'turn-retrying' ? [{ session: event.session, runId: event.runId, attempt: event.attempt }] : [],
    ),
  );
}

/** Who reads an event alone knows of whom it tells, and how many wait there. */
function expectWhole(event: SessionEvent): void {
  expect(event).toMatchObject({ agent: expect.any(String), session: expect.any(String), lockKey: event.session });
  const isOfDecision = event.type !== 'turn-started' && event.type !== 'turn-retrying';
  if (isOfDecision) expect(event).toMatchObject({ queueDepth: expect.any(Number) });
  if (!('messageId' in event)) expect(event).toMatchObject({ runId: expect.any(String) });
}

function countsOf(decided: readonly Decided[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { decision } of decided) counts[decision] = (counts[decision] ?? 0) + 1;
  return counts;
}

function sorted<T>(values: readonly T[]): T[] {
  return values.toSorted((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));
}
