import { afterEach, expect, it } from 'vitest';
import { Names } from '#contracts';
import { BrokerConnection, PublishChannel } from '#jetstream';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, until } from '#testing';
import { startCluster } from '../support/cluster.js';
import { startHoldingAgent } from '../support/holding-agent.js';
import { answerJson } from '../support/recording-agent.js';
import { decisionsOf, recordsIn } from '../support/stream-decisions.js';

afterEach(expectNothingLeft);

const SHARDS = 16;
const CAPACITY = 4;
const SESSIONS = 8_000;
/** The least that a shard may keep waiting. */
const WAITING = 256;
/** Of each shard those that wait and 96 that were on their way; and what runs. */
const MOST_LANES = SHARDS * (WAITING + 96) + CAPACITY;
const names = new Names('lk', SHARDS);

it('a flood behind turns that hang is left to the broker, an order to one of them acts, and each message is decided once (L3, L5, L6)', async () => {
  await using agent = await startHoldingAgent((_call, response) => answerJson(response, {}));
  await using cluster = await startCluster([], {
    agentUrl: agent.url,
    settings: { shards: SHARDS, worker: { capacity: CAPACITY } },
  });
  const { api } = cluster;
  await cluster.start('a');
  const worker = async () => (await api.get('/v1/workers')).body.workers[0];
  await until('it owns all shards', async () => (await worker()).shards === SHARDS);
  const hung = Array.from({ length: CAPACITY }, (_, i) => `hung-${i}`);
  for (const session of hung) await agent.hold(api, session);
  const connection = await BrokerConnection.open({ url: cluster.broker.url, name: 'flood', log: silentLogger });
  const decided = async (): Promise<Map<string, string[]>> => {
    const bySession = new Map<string, string[]>();
    for (const { session, decision } of (await recordsIn(connection, names)).flatMap(decisionsOf))
      bySession.set(session, [...(bySession.get(session) ?? []), decision]);
    return bySession;
  };
  await flood(connection);
  const paused = await until('all shards are paused', async () => {
    const { paused: count, waiting, lanes } = await worker();
    // Before that some of the heads are still on their way.
    return count === SHARDS && lanes === waiting + CAPACITY ? { waiting, lanes } : undefined;
  });
  expect(paused.waiting).toBeGreaterThanOrEqual(SHARDS * WAITING);
  expect(paused.lanes).toBeLessThanOrEqual(MOST_LANES);
  // What is not read yet waits as well, and its sender is told so.
  expect(await api.session(`s${SESSIONS - 1}`)).toMatchObject({ state: 'queued', depth: 1 });

  // Without a look at what is not read yet it would act after the turns' five minutes.
  const cancelled = await fetch(`${api.path('hung-0')}/cancel?wait=10s`, { method: 'POST' });
  expect(await cancelled.json()).toMatchObject({ cancelled: [{ id: 'hold' }] });
  for (const session of hung.slice(1)) agent.letGo(session);
  let most = 0;
  await until('none waits any more', async () => {
    const { waiting, paused: count } = await worker();
    most = Math.max(most, waiting);
    return count === 0 && waiting === 0;
  });
  expect(most).toBeLessThanOrEqual(MOST_LANES);
  await until('all is decided', async () => (await decided()).size === SESSIONS + CAPACITY);
  const bySession = await decided();
  expect(bySession.get('hung-0')).toEqual(['cancelled']);
  bySession.delete('hung-0');
  expect(new Set([...bySession.values()].map((each) => each.join()))).toEqual(new Set(['handled']));
  await connection.close();
});

/** A message each of sessions that there were not before. */
async function flood(connection: BrokerConnection): Promise<void> {
  const channel = new PublishChannel(connection);
  const send = async (i: number): Promise<void> => {
    const body = JSON.stringify({ v: 1, kind: 'message', id: 'm', text: 'x' });
    await channel.publish(names.ingestSubject(names.sessionTokens('main', `s${i}`)), body, {});
  };
  for (let from = 0; from < SESSIONS; from += 500)
    await Promise.all(Array.from({ length: 500 }, (_, i) => send(from + i)));
  channel.close();
}
