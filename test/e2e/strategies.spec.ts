import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { ApiClient } from '../support/api-client.js';
import { startCluster, type Cluster } from '../support/cluster.js';
import { answerJson, startAgent, type AgentCall, type RecordingAgent } from '../support/recording-agent.js';

/**
 * Overlapping messages, through HTTP against an agent outside of all our processes. Each strategy is an agent of its own;
 * a message whose text is `hold` keeps its turn running until it is let go.
 */

/** Long enough for a few requests on a busy machine; nothing below asserts how long it took. */
const WINDOW = { debounceMs: 1_500, maxDebounceMs: 8_000 };
const BUSY = 'please come back later';

let agent: RecordingAgent;
let cluster: Cluster;
const held: ServerResponse[] = [];

beforeAll(async () => {
  agent = await startAgent(({ message }, response) => {
    if (message.text === 'hold') held.push(response);
    else answerJson(response, { replies: [`to ${message.id}`] });
  });
  const { url } = agent;
  cluster = await startCluster(['w'], {
    settings: {
      agents: {
        queue: { url },
        fifo: { url, strategy: 'fifo' },
        collect: { url, strategy: 'collect', ...WINDOW },
        debounce: { url, strategy: 'debounce', ...WINDOW },
        burst: { url, strategy: 'burst', debounceMs: WINDOW.debounceMs },
        dropping: { url, strategy: 'drop', busyMessage: BUSY },
        oldest: { url, maxQueueSize: 2 },
        newest: { url, maxQueueSize: 2, onQueueFull: 'drop-newest', overflowAction: 'silent' },
        summary: { url, maxQueueSize: 2, onQueueFull: 'summarize' },
        impatient: { url, queueTimeoutMs: 1_000, queueEntryTtlMs: 500 },
      },
    },
  });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await agent[Symbol.asyncDispose]();
  await expectNothingLeft();
});

/** Session `s` of an agent; `hold` begins a turn that runs until `letGo`. */
function sessionOf(name: string) {
  const api = new ApiClient(cluster.ingress.url ?? '', name);
  const send = (id: string, more: object = {}) => api.send('s', { id, text: id, ...more });
  const calls = (): AgentCall[] => agent.calls.filter((call) => call.runId.startsWith(`${name}.`));
  const batches = () => calls().map(({ messages }) => messages.map(({ id }) => id));
  const hold = async (): Promise<() => void> => {
    const before = held.length;
    await send('hold', { text: 'hold' });
    await until('its turn runs', () => held.length > before && calls().length > 0);
    return () => answerJson(held.splice(before, 1)[0] as ServerResponse, { replies: ['held'] });
  };
  const decisions = async (count: number) =>
    (await api.decided('s', count)).flatMap(({ messages }) => messages.map(({ id, decision }) => `${id} ${decision}`));
  return { api, send, batches, calls, hold, decisions };
}

describe.sequential('while a turn runs', () => {
  it('queue: all that came make the next turn, each thread its own', async () => {
    const { send, hold, batches, decisions } = sessionOf('queue');
    const letGo = await hold();
    for (const [id, thread] of [
      ['a', undefined],
      ['b', 'x'],
      ['c', undefined],
    ] as const) {
      await send(id, thread === undefined ? {} : { thread });
    }
    letGo();
    expect(await decisions(4)).toEqual(['hold handled', 'a handled', 'c handled', 'b handled']);
    expect(batches()).toEqual([['hold'], ['a', 'c'], ['b']]);
  });

  it('fifo: each message has a turn of its own, in order', async () => {
    const { send, hold, batches, decisions } = sessionOf('fifo');
    const letGo = await hold();
    for (const id of ['a', 'b', 'c']) await send(id);
    letGo();
    await decisions(4);
    expect(batches()).toEqual([['hold'], ['a'], ['b'], ['c']]);
  });

  it('drop: who comes then is told at once, and nothing of it runs', async () => {
    const { api, hold, batches, send, decisions } = sessionOf('dropping');
    const letGo = await hold();
    const answer = await api.send('s', { id: 'a', text: 'a' }, { wait: '20s' });
    expect(answer).toMatchObject({
      status: 200,
      body: { status: 'dropped', decision: 'dropped', reason: 'busy', replies: [{ text: BUSY }] },
    });
    expect((await api.message('s', 'a')).body).toMatchObject({
      disposition: 'decided',
      decision: 'dropped',
      reason: 'busy',
    });
    letGo();
    await decisions(2);
    await send('b');
    await decisions(3);
    expect(batches()).toEqual([['hold'], ['b']]);
  });

  it('a full queue drops its oldest, and says so', async () => {
    const { api, hold, send, batches, decisions } = sessionOf('oldest');
    const letGo = await hold();
    const dropped = api.send('s', { id: 'a', text: 'a' }, { wait: '20s' });
    await until('it waits', async () => (await api.message('s', 'a')).body.disposition === 'queued');
    for (const id of ['b', 'c']) await send(id);
    expect((await dropped).body).toMatchObject({ status: 'dropped', reason: 'queue-full' });
    expect((await dropped).body.replies.length).toBe(1);
    letGo();
    await decisions(4);
    expect(batches()).toEqual([['hold'], ['b', 'c']]);
  });

  it('a full queue drops the newest, and is silent about it', async () => {
    const { api, hold, send, batches, decisions } = sessionOf('newest');
    const letGo = await hold();
    for (const id of ['a', 'b']) await send(id);
    const dropped = await api.send('s', { id: 'c', text: 'c' }, { wait: '20s' });
    expect(dropped.body).toMatchObject({ status: 'dropped', reason: 'queue-full', replies: [] });
    letGo();
    await decisions(4);
    expect(batches()).toEqual([['hold'], ['a', 'b']]);
  });

  it('a full queue gives the next turn a summary of what was too much', async () => {
    const { hold, send, calls, decisions } = sessionOf('summary');
    const letGo = await hold();
    for (const id of ['a', 'b', 'c', 'd']) await send(id);
    letGo();
    expect(await decisions(5)).toEqual(['hold handled', 'a skipped', 'b skipped', 'c handled', 'd handled']);
    expect(JSON.parse(calls()[1]?.raw ?? '{}')).toMatchObject({ summary: { count: 2, lines: ['a', 'b'] } });
  });

  it('a message that waits for longer than it may ends with a word, while the turn runs on', async () => {
    const { api, hold, batches, decisions } = sessionOf('impatient');
    const letGo = await hold();
    const expired = await api.send('s', { id: 'a', text: 'a' }, { wait: '20s' });
    expect(expired.body).toMatchObject({ status: 'expired', decision: 'expired', reason: 'queue-timeout' });
    expect(expired.body.replies.length).toBe(1);
    expect((await api.session('s')).state).toBe('running');
    letGo();
    expect(await decisions(2)).toEqual(['a expired', 'hold handled']);
    expect(batches()).toEqual([['hold']]);
  });
});

describe.concurrent('an idle session', () => {
  it('collect: waits for quiet, and takes all', async () => {
    const { api, send, batches, decisions } = sessionOf('collect');
    for (const id of ['a', 'b', 'c']) await send(id);
    expect((await api.message('s', 'b')).body).toMatchObject({ disposition: 'waiting', position: 2 });
    expect(await decisions(3)).toEqual(['a handled', 'b handled', 'c handled']);
    expect(batches()).toEqual([['a', 'b', 'c']]);
  });

  it('debounce: the latest runs, and has the earlier ones with it', async () => {
    const { api, send, calls, decisions } = sessionOf('debounce');
    const superseded = api.send('s', { id: 'a', text: 'a' }, { wait: '20s' });
    await until('it is stored', async () => (await api.message('s', 'a')).status === 200);
    await send('b');
    expect(await decisions(2)).toEqual(['a superseded', 'b handled']);
    expect(calls().map(({ message }) => message.id)).toEqual(['b']);
    // Its turn answers it too, with the latest.
    expect((await superseded).body).toMatchObject({
      decision: 'superseded',
      status: 'succeeded',
      answeredWith: 'b',
      replies: [],
    });
  });

  it('burst: a fixed time, and then all', async () => {
    const { send, batches, decisions } = sessionOf('burst');
    for (const id of ['a', 'b']) await send(id);
    await decisions(2);
    expect(batches()).toEqual([['a', 'b']]);
  });
});
