import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import { OnTurn, type Turn } from '#agents';
import { loadSettings, type SettingsInput } from '#config';
import { Names } from '#contracts';
import { startGuardWithoutPort } from '#guard';
import { GuardClient } from '#guards';
import { BrokerConnection } from '#jetstream';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, startBroker, startService, tempDir, until } from '#testing';
import { startWorker } from '#worker';
import { ApiClient, requestJson } from '../support/api-client.js';

afterEach(expectNothingLeft);

type Handler = (turn: Turn) => Promise<unknown>;

/** A worker in this process, so that its handler is the test's; broker, ingress and guard are their own. */
async function startWith(handler: Handler, input: SettingsInput = {}) {
  @Injectable()
  class Provider {
    @OnTurn('main')
    run(turn: Turn): Promise<unknown> {
      return handler(turn);
    }
  }
  const dir = await tempDir('turn-tasks');
  const broker = await startBroker();
  const env = { LANEKEEPER_NATS_URL: broker.url, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'error' };
  const ingress = await startService({ args: ['ingress'], cwd: dir.path, env });
  const guard = await startService({ args: ['guard'], cwd: dir.path, env });
  const overrides = { ...input, agents: { main: { backoffInitialMs: 20, ...input.agents?.['main'] } } };
  const settings = loadSettings({ env: {}, cwd: dir.path, overrides });
  const context = { settings, natsUrl: broker.url, log: silentLogger };
  const worker = await startWorker({ ...context, providers: [Provider] });
  return {
    api: new ApiClient(ingress.url ?? ''),
    guard,
    broker,
    task: async (key: string) => (await requestJson(`${guard.url}/v1/tasks/${encodeURIComponent(key)}`)).body,
    ask: (key: string, operation: string, body: object) =>
      requestJson(`${guard.url}/v1/tasks/${encodeURIComponent(key)}/${operation}`, body),
    async [Symbol.asyncDispose]() {
      await worker.stop();
      await guard.stop();
      await ingress.stop();
      await broker[Symbol.asyncDispose]();
      await dir.remove();
    },
  };
}

describe('turn.tasks.run', () => {
  it('runs as the only one over all sessions; who asks meanwhile gets who runs it, as a value', async () => {
    let letGo = (): void => {};
    const held = new Promise<void>((resolve) => (letGo = resolve));
    let ran = 0;
    await using up = await startWith(async (turn) => {
      const run = await turn.tasks.run({ namespace: 'ops', name: 'report' }, async ({ token }) => {
        ran++;
        await held;
        return { token };
      });
      turn.reply({ data: run });
    });
    const { api, task } = up;
    await api.send('one', { text: 'x' });
    const running = await until('it runs', async () => {
      const found = await task('ops::report');
      return found.state === 'running' ? found : undefined;
    });
    const others = await Promise.all(
      Array.from({ length: 10 }, (_, i) => api.send(`other-${i}`, { text: 'x' }, { wait: '20s' })),
    );
    for (const { body } of others) {
      const { runId, startedAt } = running;
      expect(body.replies).toMatchObject([{ data: { kind: 'already_running', runId, startedAt, own: false } }]);
    }
    letGo();
    const [first] = await api.decided('one', 1);
    expect(first?.sends).toMatchObject([{ data: { kind: 'ran', result: { token: running.token } } }]);
    expect(ran).toBe(1);
    expect(await task('ops::report')).toMatchObject({ state: 'succeeded', result: { token: running.token } });
  });

  it('with attempts of its own stays held over those of its turn, each under a greater token, and asks for an approval behind the last', async () => {
    const tokens: (number | undefined)[] = [];
    const states: string[] = [];
    await using up = await startWith(async (turn) => {
      const run = await turn.tasks.run(
        'deploy',
        async ({ token, key }) => {
          tokens.push(token);
          states.push((await up.task(key)).state);
          if (turn.message.text === 'bad') throw new Error('boom');
        },
        { maxAttempts: 3 },
      );
      turn.reply({ data: run });
    });
    const { api, task, ask } = up;
    const dead = await api.send('s', { text: 'bad' }, { wait: '20s' });
    expect(dead.body).toMatchObject({ decision: 'dead', error: { message: 'boom' } });
    expect(states).toEqual(['running', 'running', 'running']);
    expect(tokens).toEqual([...new Set(tokens)].toSorted((a = 0, b = 0) => a - b));
    expect(await task('main/s::deploy')).toMatchObject({ state: 'failed', error: { message: 'boom' }, attempts: 3 });
    const refused = await api.send('s', { text: 'good' }, { wait: '20s' });
    expect(refused.body).toMatchObject({
      decision: 'handled',
      replies: [{ data: { kind: 'approval_required', failedRunId: dead.body.runId } }],
    });
    expect(tokens).toHaveLength(3);
    await ask('main/s::deploy', 'approve-retry', { by: 'ann' });
    const approved = await api.send('s', { text: 'good' }, { wait: '20s' });
    expect(approved.body.replies).toMatchObject([{ data: { kind: 'ran' } }]);
  });

  it('has one attempt unless it says more: the next attempt of its turn is told that it needs an approval (G2)', async () => {
    let ran = 0;
    await using up = await startWith(async (turn) => {
      const run = await turn.tasks.run('charge', () => Promise.reject(new Error(`no ${++ran}`)));
      turn.reply({ data: run });
    });
    const answer = await up.api.send('s', { text: 'x' }, { wait: '20s' });
    const refused = { kind: 'approval_required', error: { message: 'no 1' }, attempts: 1 };
    expect(answer.body).toMatchObject({ decision: 'handled', replies: [{ data: refused }] });
    expect(ran).toBe(1);
  });

  it('that is cut by the end of the time of its turn is timed out, and asks for an approval (G2)', async () => {
    let ran = 0;
    await using up = await startWith(
      async (turn) => {
        const run = await turn.tasks.run(
          'job',
          ({ signal }) => {
            ran++;
            return new Promise((_resolve, reject) => {
              signal.addEventListener('abort', () => reject(signal.reason as Error));
            });
          },
          { maxAttempts: 3 },
        );
        turn.reply({ data: run });
      },
      { agents: { main: { turnTimeoutMs: 300 } } },
    );
    const answer = await up.api.send('s', { text: 'x' }, { wait: '20s' });
    expect(answer.body).toMatchObject({ decision: 'handled', replies: [{ data: { kind: 'approval_required' } }] });
    expect(await up.task('main/s::job')).toMatchObject({ state: 'failed', status: 'timed_out' });
    expect(ran).toBe(1);
  });

  it('what it did in an attempt that failed later is not done again: the next attempt gets its result', async () => {
    let ran = 0;
    await using up = await startWith(async (turn) => {
      const run = await turn.tasks.run('charge', async () => ({ receipt: ++ran }));
      if (turn.attempt === 1) throw new Error('after it');
      turn.reply({ data: run });
    });
    const answer = await up.api.send('s', { text: 'x' }, { wait: '20s' });
    expect(answer.body).toMatchObject({
      decision: 'handled',
      replies: [{ data: { kind: 'done', result: { receipt: 1 } } }],
    });
    expect(ran).toBe(1);
  });

  it('a cancelled turn leaves it free; a handler that ignores its abort leaves it failed', async () => {
    let started = 0;
    await using up = await startWith(
      async (turn) => {
        await turn.tasks.run('job', async ({ signal }) => {
          started++;
          await new Promise<void>((_resolve, reject) => {
            if (turn.message.text === 'deaf') return;
            signal.addEventListener('abort', () => reject(signal.reason as Error));
          });
        });
      },
      { agents: { main: { abortGraceMs: 50 } } },
    );
    const { api, task } = up;
    const cancelled = async (session: string, text: string, n: number) => {
      await api.send(session, { id: 'm', text });
      await until('it runs', () => started === n);
      await requestJson(`${api.path(session)}/cancel?wait=20s`, {});
      await api.decided(session, 1);
    };
    await cancelled('s', 'hears', 1);
    await until('it is free', async () => (await task('main/s::job')).state === 'cancelled');
    await cancelled('t', 'deaf', 2);
    expect(await task('main/t::job')).toMatchObject({ state: 'failed' });
  });

  it('without a guard the turn is put off (closed) and runs when one is there, or runs unguarded where it says so (open)', async () => {
    await using up = await startWith(
      async (turn) => {
        const whenUnavailable = turn.message.text as 'open' | 'closed';
        const run = await turn.tasks.run('job', async ({ token }) => token ?? 'none', { whenUnavailable });
        turn.reply({ data: run });
      },
      { guard: { answerWithinMs: 200 } },
    );
    const { api, guard, broker } = up;
    await guard.stop();
    const open = await api.send('o', { text: 'open' }, { wait: '20s' });
    expect(open.body.replies).toMatchObject([{ data: { kind: 'ran', result: 'none' } }]);
    await api.send('c', { text: 'closed' });
    await until('it is put off', async () => (await api.session('c')).state === 'retrying');
    const settings = loadSettings({ env: {} });
    const next = await startGuardWithoutPort({ settings, natsUrl: broker.url, log: silentLogger });
    const [turn] = (await api.decided('c', 1)).filter(({ kind }) => kind === 'turn');
    expect(turn).toMatchObject({ status: 'succeeded', attempt: 1, sends: [{ data: { kind: 'ran' } }] });
    await next.stop();
  });

  it('whose holding an operator ends is told at once by its signal, and what it comes to does not count', async () => {
    const reasons: unknown[] = [];
    await using up = await startWith(async (turn) => {
      const run = await turn.tasks.run(
        'job',
        async ({ signal }) => {
          if (turn.attempt > 1) return 'again';
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
          reasons.push(signal.reason);
          return 'too late';
        },
        { ttlMs: 1_000 },
      );
      turn.reply({ data: run });
    });
    const { api, broker } = up;
    await api.send('s', { text: 'x' });
    await until('it runs', async () => (await up.task('main/s::job')).state === 'running');
    const connection = await BrokerConnection.open({ url: broker.url, name: 'operator', log: silentLogger });
    const client = new GuardClient(connection, new Names('lk', 64));
    expect(await client.end('main/s::job', { by: `operator ${randomUUID()}` })).toMatchObject({ kind: 'ended' });
    await connection.close();
    const [turn] = (await api.decided('s', 1)).filter(({ kind }) => kind === 'turn');
    expect(turn).toMatchObject({
      status: 'succeeded',
      attempt: 2,
      sends: [{ data: { kind: 'ran', result: 'again' } }],
    });
    expect(reasons).toMatchObject([{ code: 'task_lost' }]);
  });
});
