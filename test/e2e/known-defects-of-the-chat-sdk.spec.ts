import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectNothingLeft, startService, until } from '#testing';
import { ApiClient, type ApiAnswer, type ApiRecord } from '../support/api-client.js';
import { startCluster, TTL_MS, type Cluster } from '../support/cluster.js';
import { expectSerial } from '../support/history-check.js';
import { startHoldingAgent, type HoldingAgent } from '../support/holding-agent.js';
import { answerJson, answerStatus, type AgentCall } from '../support/recording-agent.js';

/**
 * What is known to go wrong in the Chat SDK (docs/migrating.md has the list) must be impossible here: each test is one of
 * its defects, made to happen through HTTP. D9 and D15 are about things that are not here yet.
 */

const ENTRY_TTL_MS = 300;
/** Longer than a kill and the start of the next life, so that the window is still open then. */
const WINDOW_MS = 4_000;

let agent: HoldingAgent;
let cluster: Cluster;

beforeAll(async () => {
  agent = await startHoldingAgent(({ message, messages, attempt }, response) => {
    const { text = '' } = message;
    if (text === 'refuse') answerStatus(response, 404);
    else if (text === 'stumble' && attempt < 3) answerStatus(response, 500);
    else if (text === 'hang') response.flushHeaders();
    else answerJson(response, { replies: [`to ${messages.map(({ id }) => id).join(' ')}`] });
  });
  const { url } = agent;
  cluster = await startCluster(['w'], {
    settings: {
      agents: {
        defaults: { backoffInitialMs: 50 },
        main: { url },
        short: { url, queueEntryTtlMs: ENTRY_TTL_MS },
        hasty: { url, turnTimeoutMs: 300, maxAttempts: 1 },
        debounce: { url, strategy: 'debounce', debounceMs: WINDOW_MS, maxDebounceMs: 2 * WINDOW_MS },
      },
    },
  });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await agent[Symbol.asyncDispose]();
  await expectNothingLeft();
});

/** A session of its own for each test. */
function sessionOf(session: string, name = 'main') {
  const api = new ApiClient(cluster.ingress.url ?? '', name);
  const send = (id: string, text = 'x', wait?: string): Promise<ApiAnswer> =>
    api.send(session, { id, text }, wait === undefined ? {} : { wait });
  return {
    ...{ api, send },
    hold: () => agent.hold(api, session),
    letGo: () => agent.letGo(session),
    refuse: () => agent.letGo(session, (response) => answerStatus(response, 404)),
    decided: (count: number) => api.decided(session, count),
    calls: () => agent.calls.filter((call) => call.session === session),
  };
}

const idsOf = ({ messages }: Pick<AgentCall | ApiRecord, 'messages'>): string[] => messages.map(({ id }) => id);
const turnsIn = (records: readonly ApiRecord[]): ApiRecord[] => records.filter(({ kind }) => kind === 'turn');
const decisionsIn = (records: readonly ApiRecord[]): string[] =>
  records.flatMap(({ messages }) => messages.map(({ id, decision }) => `${id} ${decision}`));

async function killAndStartAgain(): Promise<void> {
  await cluster.of('w').killGroup9();
  await cluster.start('w');
}

it('D1 a message that comes in the moment in which the turn before it ends is not stranded', async () => {
  const names = Array.from({ length: 40 }, (_, i) => `d1-${i}`);
  await Promise.all(names.map((name) => sessionOf(name).hold()));
  // Half of them are stored before the turn's answer is out, half behind it, and all within its last moments.
  await Promise.all(
    names.map(async (name, i) => {
      const { send, letGo, decided } = sessionOf(name);
      if (i % 2 === 0) letGo();
      const sent = send('next');
      if (i % 2 === 1) letGo();
      expect((await sent).status).toBe(202);
      expect(decisionsIn(await decided(2))).toEqual(['hold handled', 'next handled']);
    }),
  );
});

it('D2 what waits is handled before what comes later, also when the turn before it fails', async () => {
  const { send, hold, refuse, decided, calls } = sessionOf('d2');
  await hold();
  for (const id of ['a', 'b']) await send(id);
  const last = send('c');
  refuse();
  await last;
  await decided(4);
  expect(calls().flatMap(idsOf)).toEqual(['hold', 'a', 'b', 'c']);
});

it('D3 a turn that fails for good strands nothing: what waits behind it runs without a further message', async () => {
  const { send, hold, refuse, decided } = sessionOf('d3');
  await hold();
  for (const id of ['a', 'b']) await send(id);
  refuse();
  expect(decisionsIn(await decided(3))).toEqual(['hold dead', 'a handled', 'b handled']);
});

it('D4 with the channel as scope no message of another thread is lost, nor answered in another thread', async () => {
  const channel = 'whatsapp:d4';
  const { api, hold, letGo, decided, calls } = sessionOf(channel);
  await hold();
  const threads = ['x', 'y', 'x', 'z'].map((name) => `${channel}:${name}`);
  for (const [i, thread] of threads.entries()) await api.sendByPlace({ id: `m${i}`, channel, thread, text: 'x' });
  letGo();
  const records = await decided(5);
  expect(turnsIn(records).map(idsOf)).toEqual([['hold'], ['m0', 'm2'], ['m1'], ['m3']]);
  expect(decisionsIn(records).every((decision) => decision.endsWith(' handled'))).toBe(true);
  for (const { messages } of calls()) expect(new Set(messages.map(({ thread }) => thread)).size).toBe(1);
});

it('D5 an id is not used up by a turn that failed for good: sent again, it runs', async () => {
  const { api, send, calls } = sessionOf('d5');
  expect((await send('m', 'refuse', '20s')).body).toMatchObject({ decision: 'dead', duplicate: false });
  const again = await send('m', 'x', '20s');
  expect(again.body).toMatchObject({ decision: 'handled', duplicate: false, replies: [{ text: 'to m' }] });
  expect(calls()).toHaveLength(2);
  expect((await api.message('d5', 'm')).body).toMatchObject({ decision: 'handled', seq: again.body.seq });
});

it('D6 a crash loses neither the running message nor a window, and what waits needs no further message to go on', async () => {
  const running = sessionOf('d6');
  const debounced = sessionOf('d6 window', 'debounce');
  await running.hold();
  await running.send('behind');
  for (const id of ['a', 'b']) await debounced.send(id);
  await killAndStartAgain();
  await until('the running message runs again', () => running.calls().length === 2);
  running.letGo();
  const turns = turnsIn(await running.decided(2));
  expect(turns.map((turn) => [idsOf(turn), turn.attempt])).toEqual([
    [['hold'], 2],
    [['behind'], 1],
  ]);
  expect(decisionsIn(await debounced.decided(2))).toEqual(['a superseded', 'b handled']);
});

it('D7 a turn that lasts longer than messages may wait lets nothing behind it expire', async () => {
  const { api, send, hold, letGo, decided } = sessionOf('d7', 'short');
  await hold();
  await send('a');
  await until('it has waited for twice as long as it may', async () => {
    const { oldestMs } = await api.session('d7');
    return oldestMs > 2 * ENTRY_TTL_MS;
  });
  letGo();
  expect(decisionsIn(await decided(2))).toEqual(['hold handled', 'a handled']);
});

it('D8 a turn that outlasts every lease keeps its session: the next one begins behind it', async () => {
  const { send, hold, letGo, decided, calls } = sessionOf('d8');
  await hold();
  await send('next');
  const heldAt = performance.now();
  await until('two leases have passed', () => performance.now() - heldAt > 2 * TTL_MS);
  expect(calls()).toHaveLength(1);
  letGo();
  expectSerial(await decided(2));
});

it('D8 a turn that hangs is ended, and its call closed, before the next one begins', async () => {
  const { send, decided, calls } = sessionOf('d8 hangs', 'hasty');
  await send('first', 'hang');
  await until('it is called', () => calls().length === 1);
  await send('next');
  const records = await decided(2);
  await calls()[0]?.closed;
  expect(decisionsIn(records)).toEqual(['first dead', 'next handled']);
  expectSerial(records);
});

it('D10 a handler that reads only `messages` overlooks nothing: all that a turn decides is in it', async () => {
  const { send, hold, letGo, decided, calls } = sessionOf('d10');
  await hold();
  for (const id of ['a', 'b', 'c']) await send(id);
  letGo();
  const turns = turnsIn(await decided(4));
  expect(calls().map(idsOf)).toEqual(turns.map(idsOf));
});

it('D11 what was said before the latest message reaches the agent with its text, so that a command in it is found', async () => {
  const { send, hold, letGo, decided, calls } = sessionOf('d11');
  await hold();
  await send('a', '!command');
  await send('b', 'plain');
  letGo();
  await decided(3);
  expect(calls()[1]?.messages.map(({ text }) => text)).toEqual(['!command', 'plain']);
});

it('D12 messages that come in through two processes are handled in the order in which they were stored', async () => {
  await using second = await startService({ args: ['ingress'], cwd: cluster.folder, env: cluster.env });
  const { api, hold, letGo, decided, calls } = sessionOf('d12');
  const doors = [api, new ApiClient(second.url ?? '')];
  await hold();
  const ids = Array.from({ length: 8 }, (_, i) => `m${i}`);
  for (const [i, id] of ids.entries()) await doors[i % 2]?.send('d12', { id, text: 'x' });
  letGo();
  await decided(9);
  expect(calls().flatMap(idsOf)).toEqual(['hold', ...ids]);
});

it('D13 the same id in another thread is another message; in the same session it is refused aloud, never swallowed', async () => {
  const { api } = sessionOf('d13');
  const say = (channel: string, thread: string) =>
    api.sendByPlace({ channel, thread, id: '1718.1', text: thread }, { wait: '20s' });
  for (const thread of ['a', 'b']) {
    expect((await say('slack:d13', thread)).body).toMatchObject({ decision: 'handled', duplicate: false });
  }
  expect((await say('whatsapp:d13', 'a')).body).toMatchObject({ decision: 'handled', duplicate: false });
  expect(await say('whatsapp:d13', 'b')).toMatchObject({ status: 422, body: { code: 'idempotency-mismatch' } });
});

it('D14 a repetition while the turn fails is a duplicate, and the message is handled all the same', async () => {
  const { send, decided, calls } = sessionOf('d14');
  const first = await send('m', 'stumble');
  await until('its first attempt has failed', () => calls().length > 1);
  expect((await send('m', 'stumble')).body).toMatchObject({ seq: first.body.seq, duplicate: true });
  expect(decisionsIn(await decided(1))).toEqual(['m handled']);
  expect(calls().map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
});

it('D16 messages that a turn has taken are not lost with its process: the same batch runs again', async () => {
  const { send, hold, letGo, calls, decided } = sessionOf('d16');
  await hold();
  for (const [id, text] of [
    ['a', 'x'],
    ['b', 'x'],
    ['c', 'hold'],
  ] as const) {
    await send(id, text);
  }
  letGo();
  await until('a turn has taken all three', () => calls().length === 2);
  await killAndStartAgain();
  await until('it runs again', () => calls().length === 3);
  letGo();
  await decided(4);
  const [, taken, again] = calls();
  expect([taken, again].map((call) => call && idsOf(call))).toEqual([
    ['a', 'b', 'c'],
    ['a', 'b', 'c'],
  ]);
  expect([again?.runId, again?.attempt]).toEqual([taken?.runId, 2]);
});

it('D17 the process that took a message may end: its turn goes on elsewhere, and is run once', async () => {
  const { hold, letGo, decided, calls } = sessionOf('d17');
  await using door = await startService({ args: ['ingress'], cwd: cluster.folder, env: cluster.env });
  await hold();
  await new ApiClient(door.url ?? '').send('d17', { id: 'a', text: 'x' });
  await door.killGroup9();
  letGo();
  expect(decisionsIn(await decided(2))).toEqual(['hold handled', 'a handled']);
  expect(calls()).toHaveLength(2);
});
