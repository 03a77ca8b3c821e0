import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ServerResponse } from 'node:http';
import { expectNothingLeft, until } from '#testing';
import { ApiClient } from '../support/api-client.js';
import { startCluster, type Cluster } from '../support/cluster.js';
import { answerJson, startAgent, type RecordingAgent } from '../support/recording-agent.js';

/** Turns of one session beside each other (strategy `concurrent`), through HTTP, over crashes and handoffs of workers. */

let agent: RecordingAgent;
let cluster: Cluster;
/** Open calls of the agent, by message and attempt. */
const open = new Map<string, ServerResponse>();

beforeAll(async () => {
  agent = await startAgent(({ message, attempt }, response) => void open.set(`${message.id} ${attempt}`, response));
  const { url } = agent;
  cluster = await startCluster(['a', 'b'], {
    settings: {
      agents: {
        side: { url, strategy: 'concurrent', maxConcurrent: 3 },
        main: { url },
        failing: { url, strategy: 'concurrent', backoffInitialMs: 50 },
      },
    },
  });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await agent[Symbol.asyncDispose]();
  await expectNothingLeft();
});

const runs = (call: string) => until(`the agent has the call ${call}`, () => open.get(call));
const answer = async (call: string, status = 200): Promise<void> => {
  const response = await runs(call);
  if (status === 200) return answerJson(response, { replies: [`to ${call}`] });
  response.writeHead(status).end();
};

const ownerOf = async (api: ApiClient, session: string): Promise<string> =>
  String((await api.session(session)).worker).split('/')[0] ?? '';

describe('messages of strategy concurrent', () => {
  it('run at once up to maxConcurrent, and each is answered when it is ready', async () => {
    const api = new ApiClient(cluster.ingress.url ?? '', 'side');
    for (const id of ['one', 'two', 'three', 'four']) await api.send('s', { id, text: id });
    await Promise.all(['one 1', 'two 1', 'three 1'].map(runs));
    expect((await api.message('s', 'four')).body).toMatchObject({ disposition: 'queued' });
    expect((await api.message('s', 'two')).body).toMatchObject({ disposition: 'running' });
    expect(await api.session('s')).toMatchObject({ state: 'running', depth: 1, concurrent: [{}, {}, {}] });
    await answer('two 1');
    await runs('four 1');
    await answer('four 1');
    await answer('three 1');
    await answer('one 1');
    const records = await api.decided('s', 4);
    expect(records.flatMap(({ messages }) => messages.map(({ id }) => id))).toEqual(['two', 'four', 'three', 'one']);
  });

  it('do not wait for the turn of another message of their session', async () => {
    const api = new ApiClient(cluster.ingress.url ?? '', 'main');
    await api.send('t', { id: 'long', text: 'long' });
    await runs('long 1');
    const quick = api.send('t', { id: 'quick', text: 'quick', strategy: 'concurrent' }, { wait: '20s' });
    await answer('quick 1');
    expect(await quick).toMatchObject({
      status: 200,
      body: { status: 'succeeded', replies: [{ text: 'to quick 1' }] },
    });
    expect((await api.message('t', 'long')).body).toMatchObject({ disposition: 'running' });
    await answer('long 1');
    await api.decided('t', 2);
  });

  it('fail each by itself', async () => {
    const api = new ApiClient(cluster.ingress.url ?? '', 'failing');
    for (const id of ['bad', 'good']) await api.send('u', { id, text: id });
    await Promise.all(['bad 1', 'good 1'].map(runs));
    await answer('bad 1', 500);
    await answer('bad 2');
    await answer('good 1');
    const records = await api.decided('u', 2);
    expect(records.map(({ messages }) => messages[0]?.id)).toEqual(['bad', 'good']);
  });

  it('are cancelled one by one', async () => {
    const api = new ApiClient(cluster.ingress.url ?? '', 'side');
    for (const id of ['c1', 'c2']) await api.send('c', { id, text: id });
    await Promise.all(['c1 1', 'c2 1'].map(runs));
    const response = await fetch(`${api.path('c')}/messages/c1/cancel?wait=20s`, { method: 'POST' });
    expect(await response.json()).toMatchObject({ cancelled: [{ id: 'c1' }] });
    await agent.calls.find(({ message }) => message.id === 'c1')?.closed;
    expect((await api.message('c', 'c2')).body).toMatchObject({ disposition: 'running' });
    await answer('c2 1');
    await until('both are decided', async () => (await api.message('c', 'c2')).body.decision === 'handled');
  });

  it('L1 L3 run again when their worker is killed, as what they were, and are decided once', async () => {
    const api = new ApiClient(cluster.ingress.url ?? '', 'side');
    const ids = ['k1', 'k2', 'k3'];
    for (const id of ids) await api.send('k', { id, text: id });
    await Promise.all(ids.map((id) => runs(`${id} 1`)));
    const name = await ownerOf(api, 'k');
    const first = new Map(agent.calls.map(({ message, runId }) => [message.id, runId]));
    await cluster.of(name).killGroup9();
    await Promise.all(ids.map((id) => runs(`${id} 2`)));
    for (const id of ids) {
      const again = agent.calls.find(({ message, attempt }) => message.id === id && attempt === 2);
      expect(again?.runId).toBe(first.get(id));
    }
    for (const id of ids.toReversed()) await answer(`${id} 2`);
    const records = await api.decided('k', 3);
    expect(records.flatMap(({ messages }) => messages.map(({ id, decision }) => `${id} ${decision}`))).toEqual(
      ids.toReversed().map((id) => `${id} handled`),
    );
    await cluster.start(name);
    await cluster.balanced('a', 'b');
  });

  it('L1 end where they run when their worker stops, and nothing of the session begins elsewhere before', async () => {
    const api = new ApiClient(cluster.ingress.url ?? '', 'side');
    for (const id of ['h1', 'h2']) await api.send('h', { id, text: id });
    await Promise.all(['h1 1', 'h2 1'].map(runs));
    const stopped = cluster.of(await ownerOf(api, 'h')).stop();
    await until('the session is held', async () => (await api.session('h')).state === 'held');
    await api.send('h', { id: 'h3', text: 'h3' });
    await answer('h1 1');
    await api.decided('h', 1);
    expect(await api.session('h')).toMatchObject({ state: 'held' });
    expect(open.has('h3 1')).toBe(false);
    await answer('h2 1');
    await answer('h3 1');
    const records = await api.decided('h', 3);
    expect(records.map(({ messages }) => messages[0]?.id)).toEqual(['h1', 'h2', 'h3']);
    await stopped;
  });
});
