import 'reflect-metadata';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { afterEach, expect, it } from 'vitest';
import { OnTurn, TurnOverError, type Turn } from '#agents';
import { loadSettings } from '#config';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, startBroker, startService, tempDir, until } from '#testing';
import { startWorker } from '#worker';
import { ApiClient } from '../support/api-client.js';
import { startUp } from '../support/lanekeeper-up.js';
import { answerJson, answerStatus, startAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

/** Settings of agent `main` as a file, since there are no variables for them. */
async function withLimits(limits: object): Promise<{ env: NodeJS.ProcessEnv; remove(): Promise<void> }> {
  const dir = await tempDir('settings');
  const path = join(dir.path, 'lanekeeper.json');
  await writeFile(path, JSON.stringify({ agents: { main: limits } }));
  return { env: { LANEKEEPER_CONFIG: path }, remove: () => dir.remove() };
}

it('an agent that answers 500 twice and then 200 is called three times under one runId (L7)', async () => {
  await using agent = await startAgent((call, response) =>
    call.attempt < 3 ? answerStatus(response, 500) : answerJson(response, { replies: [{ text: 'at last' }], state: 7 }),
  );
  const settings = await withLimits({ url: agent.url, backoffInitialMs: 20 });
  await using up = await startUp(settings.env);
  const answer = await up.api.send('s', { id: 'm1', text: 'x' }, { wait: '20s' });
  expect(answer).toMatchObject({ status: 200, body: { status: 'succeeded', replies: [{ text: 'at last' }] } });
  expect(agent.calls.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  expect(new Set(agent.calls.map(({ runId }) => runId))).toEqual(new Set([answer.body.runId]));
  expect(new Set(agent.calls.map(({ headers }) => headers['idempotency-key']))).toEqual(new Set([answer.body.runId]));
  expect(agent.calls.map(({ messages }) => messages.map(({ id }) => id))).toEqual([['m1'], ['m1'], ['m1']]);
  const [turn, ...more] = await up.api.turns('s');
  expect(more).toEqual([]);
  expect(turn).toMatchObject({ attempt: 3, messages: [{ id: 'm1', decision: 'handled' }], state: 7 });
  await settings.remove();
});

it('an agent that always fails ends dead, and the next message of the session is served (L6)', async () => {
  await using agent = await startAgent((call, response) =>
    call.message.text === 'bad' ? answerStatus(response, 500) : answerJson(response, { replies: [{ text: 'fine' }] }),
  );
  const settings = await withLimits({ url: agent.url, backoffInitialMs: 20 });
  await using up = await startUp(settings.env);
  await up.api.send('s', { id: 'bad', text: 'bad' });
  await agent.call(1);
  // Sent during its attempts: it waits for the batch, then it is a turn of its own.
  const next = await up.api.send('s', { id: 'good', text: 'good' }, { wait: '20s' });
  expect(next.body).toMatchObject({ status: 'succeeded', replies: [{ text: 'fine' }] });
  expect(agent.calls.map(({ message, attempt }) => [message.id, attempt])).toEqual([
    ['bad', 1],
    ['bad', 2],
    ['bad', 3],
    ['good', 1],
  ]);
  expect((await up.api.message('s', 'bad')).body).toMatchObject({ disposition: 'decided', decision: 'dead' });
  await settings.remove();
});

it('an answer that trying again cannot mend is dead at once', async () => {
  await using agent = await startAgent((_call, response) => answerStatus(response, 404));
  const settings = await withLimits({ url: agent.url });
  await using up = await startUp(settings.env);
  const answer = await up.api.send('s', { text: 'x' }, { wait: '20s' });
  expect(answer.body).toMatchObject({ status: 'failed', decision: 'dead', error: { name: 'agent_refused' } });
  expect(agent.calls).toHaveLength(1);
  await settings.remove();
});

it('an agent that hangs is aborted at turnTimeoutMs: its request closes, its session goes on (L6)', async () => {
  await using agent = await startAgent((call, response) => {
    if (call.message.text !== 'hang') answerJson(response, {});
  });
  const settings = await withLimits({ url: agent.url, turnTimeoutMs: 300, maxAttempts: 1 });
  await using up = await startUp(settings.env);
  const answer = await up.api.send('s', { id: 'h', text: 'hang' }, { wait: '20s' });
  expect(answer.body).toMatchObject({ status: 'timed_out', decision: 'dead', error: { name: 'turn_timeout' } });
  const [call] = agent.calls;
  await call?.closed;
  expect(Date.parse(call?.deadline ?? '')).toBeGreaterThan(0);
  const [turn] = await up.api.turns('s');
  expect((turn?.endedAt ?? 0) - (turn?.startedAt ?? 0)).toBeGreaterThanOrEqual(299);
  expect((await up.api.send('s', { text: 'next' }, { wait: '20s' })).body).toMatchObject({ status: 'succeeded' });
  await settings.remove();
});

it('a handler that ignores its abort does not stop the lane, and its Turn is dead (L1, L6)', async () => {
  const late: unknown[] = [];
  let release = (): void => {};
  const released = new Promise<void>((resolve) => (release = resolve));

  @Injectable()
  class Stubborn {
    @OnTurn('main')
    async answer(turn: Turn): Promise<string> {
      if (turn.message.text !== 'stubborn') return 'served';
      await released;
      late.push(turn.signal.aborted);
      try {
        turn.reply('too late');
      } catch (error) {
        late.push(error);
      }
      return 'much too late';
    }
  }

  await using broker = await startBroker();
  await using dir = await tempDir('roles');
  const env = { LANEKEEPER_NATS_URL: broker.url, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'error' };
  await using ingress = await startService({ args: ['ingress'], cwd: dir.path, env });
  const limits = { turnTimeoutMs: 100, abortGraceMs: 100, maxAttempts: 1 };
  const worker = await startWorker({
    settings: loadSettings({ env, cwd: dir.path, overrides: { agents: { main: limits } } }),
    natsUrl: broker.url,
    log: silentLogger,
    providers: [Stubborn],
  });
  try {
    const api = new ApiClient(ingress.url ?? '');
    const first = await api.send('s', { id: 'm1', text: 'stubborn' }, { wait: '20s' });
    expect(first.body).toMatchObject({ status: 'timed_out', decision: 'dead', replies: [] });
    const second = await api.send('s', { id: 'm2', text: 'next' }, { wait: '20s' });
    expect(second.body).toMatchObject({ status: 'succeeded', replies: [{ text: 'served' }] });
    release();
    await until('the late handler has tried', async () => late.length === 2);
    expect(late[0]).toBe(true);
    expect(late[1]).toBeInstanceOf(TurnOverError);
    const records = await api.decided('s', 2);
    expect(records.flatMap(({ sends = [] }) => sends)).toEqual([{ kind: 'reply', text: 'served' }]);
  } finally {
    await worker.stop();
  }
});

it('429 with Retry-After: 2 waits two seconds and costs no attempt', async () => {
  await using agent = await startAgent((_call, response, count) =>
    count === 1
      ? answerStatus(response, 429, { 'retry-after': '2' })
      : answerJson(response, { replies: [{ text: 'now' }] }),
  );
  const settings = await withLimits({ url: agent.url, maxAttempts: 1 });
  await using up = await startUp(settings.env);
  await up.api.send('s', { id: 'm1', text: 'x' });
  const retrying = await until('the session waits', async () => {
    const session = await up.api.session('s');
    return session.state === 'retrying' ? session : undefined;
  });
  expect(retrying).toMatchObject({ depth: 1, retry: { attempt: 1 } });
  expect((await up.api.message('s', 'm1')).body).toMatchObject({ disposition: 'waiting', runId: retrying.retry.runId });
  const second = await agent.call(2);
  expect(second.attempt).toBe(1);
  expect(second.at).toBeGreaterThanOrEqual(retrying.retry.notBefore);
  expect(second.at - (agent.calls[0]?.at ?? 0)).toBeGreaterThanOrEqual(2_000);
  const [turn] = await up.api.decided('s', 1);
  expect(turn).toMatchObject({ attempt: 1, status: 'succeeded' });
  await settings.remove();
});

it('kill -9 during a backoff: the backoff goes on after the start, neither shorter nor as another run (L3, L7)', async () => {
  await using agent = await startAgent((call, response) =>
    call.attempt === 1 ? answerStatus(response, 500) : answerJson(response, { replies: [{ text: 'after' }] }),
  );
  const settings = await withLimits({ url: agent.url, backoffInitialMs: 4_000 });
  await using up = await startUp(settings.env);
  await up.api.send('s', { id: 'm1', text: 'x' });
  const { retry } = await until('the session waits for its retry', async () => {
    const session = await up.api.session('s');
    return session.state === 'retrying' ? session : undefined;
  });
  await up.service.killGroup9();
  await up.again();
  const again = await until('it waits again', async () => {
    const session = await up.api.session('s');
    return session.state === 'retrying' ? session : undefined;
  });
  expect(again.retry).toEqual(retry);
  const second = await agent.call(2);
  expect(second).toMatchObject({ attempt: 2, runId: retry.runId });
  expect(second.at).toBeGreaterThanOrEqual(retry.notBefore);
  const turns = await up.api.decided('s', 1);
  expect(turns).toMatchObject([{ attempt: 2, status: 'succeeded', runId: retry.runId }]);
  await settings.remove();
});
