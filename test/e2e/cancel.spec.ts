import { writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, startBroker, startService, tempDir, until } from '#testing';
import { ApiClient, type ApiAnswer, type ApiRecord } from '../support/api-client.js';
import { startUp, type RunningUp } from '../support/lanekeeper-up.js';
import { answerJson, answerStatus, startAgent } from '../support/recording-agent.js';

/** A cancel is kept like a message: stored before it is acknowledged, once per key, decided by the owner of the session. */

afterEach(expectNothingLeft);

const WAIT = '?wait=20s';

async function cancel(url: string, idempotencyKey?: string): Promise<ApiAnswer> {
  const headers: Record<string, string> = idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey };
  const response = await fetch(url, { method: 'POST', headers });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

const runUrl = (api: ApiClient, runId: string): string => `${api.url}/v1/runs/${encodeURIComponent(runId)}/cancel`;
const idsOf = (messages: readonly { readonly id: string }[]): string[] => messages.map(({ id }) => id);
const textOf = (text: string): object => ({ id: text, text });

/** Answers each message but those named `hang`; they wait until `release`. */
async function startHangingAgent() {
  const hanging: ServerResponse[] = [];
  const agent = await startAgent((call, response) => {
    if (call.messages.some(({ id }) => id.startsWith('hang'))) hanging.push(response);
    else answerJson(response, { replies: idsOf(call.messages).map((text) => ({ text })) });
  });
  const release = (): void => {
    for (const response of hanging.splice(0)) answerJson(response, { replies: [{ text: 'released' }] });
  };
  return { agent, release };
}

/** `up` whose agent `main` has these settings, for which there are no variables. */
async function startUpWith(settings: object): Promise<RunningUp> {
  await using dir = await tempDir('settings');
  const path = join(dir.path, 'lanekeeper.json');
  await writeFile(path, JSON.stringify({ agents: { main: settings } }));
  return await startUp({ LANEKEEPER_CONFIG: path });
}

function decisionsOf(records: readonly ApiRecord[]): Record<string, string> {
  return Object.fromEntries(records.flatMap(({ messages }) => messages.map(({ id, decision }) => [id, decision])));
}

it('of a session: what waits never runs, the running turn is aborted, and what comes later runs on (L1, L6)', async () => {
  const { agent } = await startHangingAgent();
  await using _agent = agent;
  await using up = await startUp({ LANEKEEPER_AGENT_URL: agent.url });
  await up.api.send('s', textOf('hang'));
  const call = await agent.call(1);
  await up.api.send('s', textOf('queued-1'));
  await up.api.send('s', textOf('queued-2'));
  const other = up.api.send('other', textOf('other'), { wait: '20s' });

  const answer = await cancel(`${up.api.path('s')}/cancel${WAIT}`);
  expect(answer).toMatchObject({
    status: 200,
    body: { messageId: expect.stringMatching(/^cancel:/), seq: expect.any(Number), duplicate: false },
  });
  expect(idsOf(answer.body.cancelled)).toEqual(['hang', 'queued-1', 'queued-2']);
  await call.closed;

  const later = await up.api.send('s', textOf('later'), { wait: '20s' });
  expect(later.body).toMatchObject({ status: 'succeeded', replies: [{ text: 'later' }] });
  expect((await other).body).toMatchObject({ status: 'succeeded' });
  const ofSession = agent.calls.filter(({ session }) => session === 's');
  expect(ofSession.map(({ messages }) => idsOf(messages))).toEqual([['hang'], ['later']]);

  const records = await up.api.turns('s');
  expect(records.find(({ runId }) => runId === call.runId)).toMatchObject({
    kind: 'turn',
    status: 'cancelled',
    sends: [],
    messages: [{ id: 'hang', decision: 'cancelled' }],
  });
  expect(decisionsOf(records)).toMatchObject({ 'queued-1': 'cancelled', 'queued-2': 'cancelled', later: 'handled' });
  // Each message is decided once; of the order at most its own decision is among them.
  const decided = records.flatMap(({ messages }) => idsOf(messages)).filter((id) => !id.startsWith('cancel:'));
  expect(decided.toSorted()).toEqual(['hang', 'later', 'queued-1', 'queued-2']);
  expect((await up.api.message('s', 'queued-1')).body).toMatchObject({ disposition: 'decided', decision: 'cancelled' });
  expect((await up.api.message('s', answer.body.messageId)).body).toMatchObject({
    disposition: 'decided',
    decision: 'handled',
    seq: answer.body.seq,
  });
});

it('of one message that waits: it is taken out, its neighbours run', async () => {
  const { agent, release } = await startHangingAgent();
  await using _agent = agent;
  await using up = await startUp({ LANEKEEPER_AGENT_URL: agent.url });
  await up.api.send('s', textOf('hang'));
  await agent.call(1);
  for (const id of ['a', 'b', 'c']) await up.api.send('s', textOf(id));
  const waiting = up.api.send('s', textOf('b'), { wait: '20s' });

  const answer = await cancel(`${up.api.path('s')}/messages/b/cancel${WAIT}`);
  expect(answer).toMatchObject({ status: 200, body: { cancelled: [{ id: 'b', seq: 3 }] } });
  // Who waits for the message is told at once, and not when the turn before it ends.
  expect(await waiting).toMatchObject({
    status: 200,
    body: { status: 'cancelled', decision: 'cancelled', replies: [] },
  });
  expect(await up.api.session('s')).toMatchObject({ state: 'running', depth: 2, running: { seqs: [1] } });
  expect((await up.api.message('s', 'c')).body).toMatchObject({ disposition: 'queued', position: 2 });

  release();
  const last = await up.api.send('s', textOf('d'), { wait: '20s' });
  expect(last.body).toMatchObject({ status: 'succeeded' });
  expect(agent.calls.flatMap(({ messages }) => idsOf(messages))).toEqual(['hang', 'a', 'c', 'd']);
  expect(decisionsOf(await up.api.turns('s'))).toMatchObject({ hang: 'handled', a: 'handled', b: 'cancelled' });
});

it('of the message that runs: its turn is aborted, what waits behind it runs on', async () => {
  const { agent } = await startHangingAgent();
  await using _agent = agent;
  await using up = await startUp({ LANEKEEPER_AGENT_URL: agent.url });
  const waiting = up.api.send('s', textOf('hang'), { wait: '20s' });
  const call = await agent.call(1);
  const behind = up.api.send('s', textOf('behind'), { wait: '20s' });
  const answer = await cancel(`${up.api.path('s')}/messages/hang/cancel${WAIT}`);
  expect(idsOf(answer.body.cancelled)).toEqual(['hang']);
  await call.closed;
  const told = { runId: call.runId, status: 'cancelled', decision: 'cancelled', replies: [] };
  expect(await waiting).toMatchObject({ status: 200, body: told });
  expect((await behind).body).toMatchObject({ status: 'succeeded', replies: [{ text: 'behind' }] });
});

it('of a run that waits for its next attempt: there is none, and what waited for it runs at once', async () => {
  await using agent = await startAgent((call, response) =>
    call.message.id === 'bad' ? answerStatus(response, 500) : answerJson(response, { replies: [{ text: 'fine' }] }),
  );
  await using up = await startUpWith({ url: agent.url, backoffInitialMs: 30_000 });
  await up.api.send('s', textOf('bad'));
  const { retry } = await until('the session waits for its retry', async () => {
    const session = await up.api.session('s');
    return session.state === 'retrying' ? session : undefined;
  });
  const behind = up.api.send('s', textOf('behind'), { wait: '20s' });
  const answer = await cancel(`${runUrl(up.api, retry.runId)}${WAIT}`);
  expect(answer.status).toBe(200);
  expect(idsOf(answer.body.cancelled)).toEqual(['bad']);
  expect((await behind).body).toMatchObject({ status: 'succeeded', replies: [{ text: 'fine' }] });
  expect(Date.now()).toBeLessThan(retry.notBefore);
  expect(idsOf(agent.calls.map(({ message }) => message))).toEqual(['bad', 'behind']);
  expect((await up.api.message('s', 'bad')).body).toMatchObject({ disposition: 'decided', decision: 'cancelled' });
  expect((await up.api.get('/v1/dead')).body.dead).toEqual([]);
});

it('again under one Idempotency-Key is stored once, also when there is nothing left to cancel; another one is 422', async () => {
  const { agent } = await startHangingAgent();
  await using _agent = agent;
  await using up = await startUp({ LANEKEEPER_AGENT_URL: agent.url });
  await up.api.send('s', textOf('hang'));
  const { runId } = await agent.call(1);
  const url = `${up.api.path('s')}/messages/hang/cancel`;
  const first = await cancel(`${url}${WAIT}`, 'key-1');
  expect(first).toMatchObject({ status: 200, body: { duplicate: false, cancelled: [{ id: 'hang' }] } });
  expect(await cancel(`${url}${WAIT}`, 'key-1')).toMatchObject({
    status: 200,
    body: { ...first.body, duplicate: true },
  });
  const ten = await Promise.all(Array.from({ length: 10 }, () => cancel(url, 'key-1')));
  for (const { status, body } of ten) {
    expect([status, body.seq, body.duplicate]).toEqual([202, first.body.seq, true]);
  }
  expect(await cancel(`${up.api.path('s')}/cancel`, 'key-1')).toMatchObject({
    status: 422,
    body: { code: 'idempotency-mismatch', detail: expect.stringContaining('Idempotency-Key') },
  });
  // A message of the same id, and of the id that the cancel has, are messages.
  for (const id of ['key-1', first.body.messageId]) {
    expect((await up.api.send('s', textOf(id), { wait: '20s' })).body).toMatchObject({ status: 'succeeded' });
  }
  expect(await cancel(runUrl(up.api, runId))).toMatchObject({ status: 409 });
});

it('of what is decided is 409 and says how it was; of what is not there 404', async () => {
  await using up = await startUp();
  const { body } = await up.api.send('s', textOf('done'), { wait: '20s' });
  const problem = { code: 'already-decided', decision: 'handled', runId: body.runId };
  const message = await cancel(`${up.api.path('s')}/messages/done/cancel`);
  expect(message).toMatchObject({ status: 409, body: { ...problem, seq: 1 } });
  const run = await cancel(runUrl(up.api, body.runId));
  expect(run).toMatchObject({ status: 409, body: { ...problem, detail: expect.stringContaining('succeeded') } });
  for (const url of [`${up.api.path('s')}/messages/nobody/cancel`, runUrl(up.api, 'main.s.9.0123456789')]) {
    expect(await cancel(url)).toMatchObject({ status: 404, body: { code: 'not-found' } });
  }
  // An order is no part of the conversation, and of an idle session there is nothing to cancel.
  const nothing = await cancel(`${up.api.path('idle')}/cancel${WAIT}`);
  expect(nothing).toMatchObject({ status: 200, body: { cancelled: [] } });
  expect(await up.api.turns('idle')).toEqual([]);
  expect(await up.api.session('idle')).toMatchObject({ state: 'idle', depth: 0, oldestMs: null });
});

it('that is sent while no worker runs is decided when one starts (L3)', async () => {
  await using broker = await startBroker();
  await using dir = await tempDir('roles');
  const env = { LANEKEEPER_NATS_URL: broker.url, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'error' };
  await using ingress = await startService({ args: ['ingress'], cwd: dir.path, env });
  const api = new ApiClient(ingress.url ?? '');
  // Slow enough that the order is read before their turn is over, should it begin first.
  for (const id of ['a', 'b', 'c']) await api.send('s', { ...textOf(id), data: { sleepMs: 300 } });
  const answer = await cancel(`${api.path('s')}/messages/b/cancel?wait=100ms`);
  expect(answer).toMatchObject({ status: 202, body: { duplicate: false } });
  expect(answer.body).not.toHaveProperty('cancelled');
  expect(await cancel(runUrl(api, 'main.s.1.0123456789'))).toMatchObject({ status: 202 });
  await api.send('s', textOf('d'));
  expect(await api.session('s')).toMatchObject({ state: 'queued', depth: 4 });
  expect((await api.message('s', 'd')).body).toMatchObject({ disposition: 'queued', position: 4 });
  const { body } = await api.message('s', answer.body.messageId);
  expect(body).toMatchObject({ seq: answer.body.seq, disposition: 'queued' });

  await using _worker = await startService({ args: ['worker'], cwd: dir.path, env });
  const decisions = await until('all four are decided', async () => {
    const decided = decisionsOf(await api.turns('s'));
    return ['a', 'b', 'c', 'd'].every((id) => id in decided) ? decided : undefined;
  });
  expect(decisions).toMatchObject({ a: 'handled', b: 'cancelled', c: 'handled', d: 'handled' });
  expect((await api.message('s', answer.body.messageId)).body).toMatchObject({ decision: 'handled' });
});

it('of a session whose turn still runs at the worker that had it before: it is aborted there (L1)', async () => {
  const { agent, release } = await startHangingAgent();
  await using _agent = agent;
  await using broker = await startBroker();
  await using dir = await tempDir('roles');
  const env = {
    LANEKEEPER_NATS_URL: broker.url,
    LANEKEEPER_AGENT_URL: agent.url,
    LANEKEEPER_HTTP_PORT: '0',
    LANEKEEPER_LOG_LEVEL: 'error',
  };
  const startWorker = (id: string) =>
    startService({ args: ['worker'], cwd: dir.path, env: { ...env, LANEKEEPER_WORKER_ID: id } });
  await using ingress = await startService({ args: ['ingress'], cwd: dir.path, env });
  await using _first = await startWorker('first');
  const api = new ApiClient(ingress.url ?? '');
  // Enough that the second worker gets the shard of some.
  const sessions = Array.from({ length: 16 }, (_, i) => `s${i}`);
  for (const session of sessions) await api.send(session, textOf('hang'));
  await agent.call(sessions.length);
  await using _second = await startWorker('second');
  const held = await until('a session is held', async () => {
    const states = await Promise.all(sessions.map((session) => api.session(session)));
    return states.find(({ state }) => state === 'held')?.session as string | undefined;
  });
  expect(await api.session(held)).toMatchObject({ depth: 0, running: { attempt: 1 } });
  expect((await api.message(held, 'hang')).body).toMatchObject({ disposition: 'running' });
  await api.send(held, textOf('behind'));

  const answer = await cancel(`${api.path(held)}/cancel${WAIT}`);
  expect(answer.status).toBe(200);
  expect(idsOf(answer.body.cancelled)).toEqual(['hang', 'behind']);
  await agent.calls.find(({ session }) => session === held)?.closed;
  expect((await api.send(held, textOf('later'), { wait: '20s' })).body).toMatchObject({ status: 'succeeded' });
  expect(agent.calls.filter(({ session }) => session === held)).toHaveLength(2);
  release();
  for (const session of sessions) await api.decided(session, 1);
});

it('is in the API’s own description', async () => {
  await using up = await startUp();
  const { body } = await up.api.get('/openapi.json');
  for (const path of [
    '/v1/agents/{agent}/sessions/{session}/cancel',
    '/v1/agents/{agent}/sessions/{session}/messages/{messageId}/cancel',
    '/v1/runs/{runId}/cancel',
  ]) {
    const { post } = body.paths[path];
    const parameters = post.parameters.map(({ name }: { name: string }) => name);
    expect(parameters).toEqual(expect.arrayContaining(['wait', 'Idempotency-Key']));
    expect(Object.keys(post.responses)).toEqual(expect.arrayContaining(['200', '202', '422', '503']));
    expect(post.requestBody).toBeUndefined();
  }
});
