import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { packageRoot } from '#config';
import { expectNothingLeft, isRunning, spawnOwned, tempDir, until } from '#testing';
import type { ApiClient } from '../support/api-client.js';
import type { ListedWorker } from '../support/cluster.js';
import { expectDecidedOnceInOrder, expectSerial } from '../support/history-check.js';
import { startUp, type RunningUp } from '../support/lanekeeper-up.js';
import { answerJson, startAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

interface PoolUp extends RunningUp {
  /** Ids and pids of the workers that were started, one after another. */
  workers(): { readonly process: string; readonly pid: number }[];
}

/** `lanekeeper up` with these settings; its lines tell of the processes that it starts. */
async function startPool(settings: object, env: NodeJS.ProcessEnv = {}): Promise<PoolUp> {
  const config = await tempDir('pool');
  const file = join(config.path, 'lanekeeper.json');
  await writeFile(file, JSON.stringify(settings));
  let up: RunningUp;
  try {
    up = await startUp({ LANEKEEPER_CONFIG: file, LANEKEEPER_LOG_LEVEL: 'info', ...env });
  } catch (error) {
    await config.remove();
    throw error;
  }
  return {
    get dir() {
      return up.dir;
    },
    get service() {
      return up.service;
    },
    get api() {
      return up.api;
    },
    env: up.env,
    again: () => up.again(),
    workers: () => linesOf(up).flatMap(({ process, pid }) => (pid === undefined ? [] : [{ process, pid }])),
    async [Symbol.asyncDispose]() {
      await up[Symbol.asyncDispose]();
      await config.remove();
    },
  };
}

function linesOf(up: RunningUp): { readonly msg: string; readonly process: string; readonly pid?: number }[] {
  const lines = up.service.output().split('\n');
  return lines.filter((line) => line.startsWith('{') && line.endsWith('}')).map((line) => JSON.parse(line));
}

async function listed(api: ApiClient): Promise<ListedWorker[]> {
  return (await api.get('/v1/workers')).body.workers;
}

async function isBalanced(api: ApiClient, count: number): Promise<boolean> {
  const workers = await listed(api);
  return workers.length === count && workers.every(({ shards }) => shards >= Math.floor(64 / count));
}

async function balanced(api: ApiClient, count: number): Promise<void> {
  await until(`${count} workers own all shards`, () => isBalanced(api, count));
}

const MEMBERSHIP = { ttlMs: 3_000, renewMs: 300 };
/** Longer than this test can wait. */
const LONG_MEMBERSHIP = { ttlMs: 600_000, renewMs: 1_000 };

it('a backlog makes the pool grow to its greatest size and idleness lets it shrink to its least: nothing lost, doubled or reordered (L1, L2, L3, L7)', async () => {
  await using agent = await startAgent(async (_call, response) => {
    await delay(150);
    answerJson(response, {});
  });
  await using up = await startPool(
    {
      gateway: { workerPool: { minWorkers: 1, maxWorkers: 3, idleTimeout: 2 } },
      ...{ worker: { capacity: 4 }, membership: MEMBERSHIP },
    },
    { LANEKEEPER_AGENT_URL: agent.url },
  );
  expect((await listed(up.api)).map(({ shards }) => shards)).toEqual([64]);
  const sessions = Array.from({ length: 60 }, (_, i) => `chat-${i}`);
  const sent = new Map<string, string[]>(sessions.map((session) => [session, []]));
  const send = async (session: string, id: string, wait?: string): Promise<void> => {
    const { status } = await up.api.send(session, { id, text: id }, wait === undefined ? {} : { wait });
    expect(status).toBe(wait === undefined ? 202 : 200);
    sent.get(session)?.push(id);
  };
  for (let i = 0; !(await isBalanced(up.api, 3)); i++) {
    await Promise.all(sessions.map((session) => send(session, `m${i}`)));
    await delay(300);
  }
  for (const [session, ids] of sent) await up.api.decided(session, ids.length);
  // Now and then a message comes, which is no reason to keep them.
  for (let i = 0; !(await isBalanced(up.api, 1)); i++) {
    await send(sessions[i % sessions.length] as string, `late-${i}`, '30s');
    await delay(50);
  }

  const workers = new Set<string>();
  for (const [session, ids] of sent) {
    const records = await up.api.decided(session, ids.length);
    expectDecidedOnceInOrder(records, ids);
    expectSerial(records);
    for (const { worker, attempt, status } of records) {
      workers.add(worker.replace(/\/.*/, ''));
      expect([attempt, status]).toEqual([1, 'succeeded']);
    }
  }
  expect([...workers].map((worker) => worker.replace(/.*-pool-/, '')).toSorted()).toEqual(['1', '2', '3']);
  const runs = agent.calls.map(({ runId }) => runId);
  expect(new Set(runs).size).toBe(runs.length);
  // No more processes than the pool may have, and none of them twice: it did not flap. Two may start in one moment.
  expect(
    up
      .workers()
      .map(({ process }) => process.replace(/.*-pool-/, ''))
      .toSorted(),
  ).toEqual(['1', '2', '3']);
  await until('the retired ones are gone', () => up.workers().filter(({ pid }) => isRunning(pid)).length === 1);
});

it('a worker that is killed with -9 is replaced under its name, and its turn is run again once (L1, L3, L7)', async () => {
  await using agent = await startAgent((_call, response, count) => {
    if (count > 1) answerJson(response, { replies: ['done'] });
  });
  await using up = await startPool(
    { gateway: { workerPool: { minWorkers: 2, maxWorkers: 2 } }, membership: LONG_MEMBERSHIP },
    { LANEKEEPER_AGENT_URL: agent.url },
  );
  await up.api.send('s', { id: 'm1', text: 'hello' });
  const first = await agent.call(1);
  const owner = (await up.api.session('s')).worker as string;
  const { pid, process: id } = up.workers().find(({ process }) => owner.startsWith(`${process}/`)) ?? { pid: 0 };
  process.kill(pid, 'SIGKILL');
  await first.closed;
  expect(await agent.call(2)).toMatchObject({ runId: first.runId, attempt: 2 });
  const turns = (await up.api.decided('s', 1)).filter(({ kind }) => kind === 'turn');
  expect(turns).toMatchObject([{ attempt: 2, status: 'succeeded' }]);
  expect(turns[0]?.worker).toMatch(new RegExp(`^${id}/`));
  expect(turns[0]?.worker).not.toBe(owner);
  expect(agent.calls).toHaveLength(2);
  expect(up.service.output()).toMatch(/ended by SIGKILL.*worker of the pool died/);
  await balanced(up.api, 2);
});

it('a worker that stands still gets help at once, and is ended and replaced in the end (L6)', async () => {
  await using up = await startPool({
    gateway: { workerPool: { minWorkers: 1, maxWorkers: 2 } },
    membership: { ttlMs: 2_000, renewMs: 300 },
  });
  const [first] = up.workers();
  process.kill(first?.pid ?? 0, 'SIGSTOP');
  const answer = await up.api.send('s', { text: 'hello' }, { wait: '30s' });
  expect(answer.body).toMatchObject({ status: 'succeeded', replies: [{ text: 'hello' }] });
  await until('it is replaced', () => up.workers().length === 3);
  expect(up.workers()[2]?.process).toBe(first?.process);
  expect(isRunning(first?.pid ?? 0)).toBe(false);
  expect(up.service.output()).toMatch(/a worker hangs/);
  await balanced(up.api, 2);
});

it('kill -9 of `up` ends its workers with it, also one that stands still, and its next life takes over at once (L3)', async () => {
  await using agent = await startAgent((_call, response, count) => {
    if (count > 1) answerJson(response, { replies: ['done'] });
  });
  await using up = await startPool(
    { gateway: { workerPool: { minWorkers: 2, maxWorkers: 3 } }, membership: LONG_MEMBERSHIP },
    { LANEKEEPER_AGENT_URL: agent.url },
  );
  await up.api.send('s', { id: 'm1', text: 'hello' });
  const { closed } = await agent.call(1);
  const owner = (await up.api.session('s')).worker as string;
  const pids = up.workers().map(({ pid }) => pid);
  expect(pids).toHaveLength(2);
  const other = up.workers().find(({ process }) => !owner.startsWith(`${process}/`));
  process.kill(other?.pid ?? 0, 'SIGSTOP');
  await up.service.killGroup9();
  await until('no worker is left', () => !pids.some((pid) => isRunning(pid)), { timeoutMs: 5_000 });
  await closed;
  expect(agent.calls).toHaveLength(1);

  await up.again();
  expect(await agent.call(2)).toMatchObject({ attempt: 2 });
  const turns = (await up.api.decided('s', 1)).filter(({ kind }) => kind === 'turn');
  expect(turns).toMatchObject([{ attempt: 2, status: 'succeeded' }]);
});

it('a stop of `up` lets a turn in a worker end within the drain budget (L3)', async () => {
  let end = (): void => {};
  await using agent = await startAgent((_call, response) => {
    end = () => answerJson(response, { replies: ['done'] });
  });
  await using up = await startPool(
    { gateway: { workerPool: { minWorkers: 2, maxWorkers: 2 } } },
    { LANEKEEPER_AGENT_URL: agent.url },
  );
  await up.api.send('s', { id: 'm1', text: 'hello' });
  await agent.call(1);
  const pids = up.workers().map(({ pid }) => pid);
  const before = up.service;
  before.signal('SIGTERM');
  await until('the worker without turns has left', () => pids.filter((pid) => isRunning(pid)).length === 1);
  end();
  expect(await before.exited).toEqual({ code: 0, signal: null });
  expect(pids.filter((pid) => isRunning(pid))).toEqual([]);
  await up.again();
  const records = await up.api.decided('s', 1);
  expect(records).toMatchObject([{ kind: 'turn', attempt: 1, status: 'succeeded', sends: [{ text: 'done' }] }]);
  expect(agent.calls).toHaveLength(1);
});

it('workers that cannot start are told and tried again later and later, and `up` lives and stops', async () => {
  await using dir = await tempDir('pool');
  await writeFile(
    join(dir.path, 'lanekeeper.yaml'),
    'gateway: {workerPool: {}}\nagents: {research: {handler: nowhere}}\nhttp: {port: 0}\n',
  );
  const root = packageRoot();
  const { PATH = '', HOME = '' } = process.env;
  const up = await spawnOwned({
    command: join(root, 'node_modules/.bin/node'),
    args: [join(root, 'dist/apps/cli/src/main.js'), 'up'],
    env: { PATH, HOME },
    cwd: dir.path,
  });
  const tries = (): number => up.output().split('ended before it was ready').length - 1;
  await until('it was tried three times', () => tries() >= 3);
  expect(up.output()).toMatch(/-pool-1: lanekeeper worker: agents\.research\.handler: found no @OnTurn\('nowhere'\)/);
  expect(up.output()).toMatch(/"pauseMs":100.*\n[^]*"pauseMs":200.*\n[^]*"pauseMs":400/);
  expect(up.output()).not.toMatch(/^ready/m);
  expect(await up.stop()).toEqual({ code: 0, signal: null });
});
