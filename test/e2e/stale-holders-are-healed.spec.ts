import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TaskView } from '#contracts';
import { expectNothingLeft, spawnSourceProgram, until, type OwnedProcess } from '#testing';
import { PATIENT, startGuards, type Guards } from '../support/guards.js';

let guards: Guards;

beforeAll(async () => {
  guards = await startGuards(3);
});
afterAll(async () => {
  await guards[Symbol.asyncDispose]();
  await expectNothingLeft();
});

const TTL_MS = 1_000;

/** A process that gets tasks, and renews them for as long as it lives. */
async function startHolder(keys: readonly string[], request: object): Promise<OwnedProcess> {
  const holder = await spawnSourceProgram(`
    const [{ GuardClient, TaskHolding }, { BrokerConnection }, { Names, systemClock }, { silentLogger }] =
      await Promise.all(['#guards', '#jetstream', '#contracts', '#telemetry'].map((name) => import(name)));
    const url = ${JSON.stringify(guards.broker.url)};
    const connection = await BrokerConnection.open({ url, name: 'holder', log: silentLogger });
    const client = new GuardClient(connection, new Names('lk', 64));
    for (const key of ${JSON.stringify(keys)}) {
      const since = performance.now();
      const request = { requestId: key, runId: 'run of ' + key, ttlMs: ${TTL_MS}, ...${JSON.stringify(request)} };
      const { kind, token } = await client.acquire(key, request);
      if (kind !== 'acquired') throw new Error(kind);
      new TaskHolding({ client, key, token, ttlMs: ${TTL_MS}, since, clock: systemClock, log: silentLogger });
    }
    console.log('holds');
  `);
  await new Promise<void>((resolve, reject) => {
    holder.onLine((line) => line === 'holds' && resolve());
    void holder.exited.then(() => reject(new Error(`the holder ended:\n${holder.output()}`)));
  });
  return holder;
}

const show = async (n: number, key: string): Promise<TaskView> => {
  const task = await guards.replica(n).api.show(key);
  if (task === undefined) throw new Error(`${key} is not there`);
  return task;
};

const acquire = (n: number, key: string, requestId: string) =>
  guards.replica(n).api.acquire(key, { requestId, runId: `run of ${requestId}` });

describe('a holder that is gone', () => {
  it('holds its tasks for as long as it lives, and blocks for no longer than its TTL (G3); told, counted and listed once, though three replicas look', async () => {
    const keys = Array.from({ length: 12 }, (_, n) => `crawlers::site ${n}`);
    const holder = await startHolder(keys, { owner: 'crawler 7' });
    const [key = ''] = keys;
    await until('it is renewed beyond its first time', async () => {
      const { expiresAt = 0, startedAt } = await show(0, key);
      return expiresAt > startedAt + 2 * TTL_MS;
    });
    expect((await acquire(1, key, 'too early')).body).toMatchObject({ kind: 'already_running', owner: 'crawler 7' });
    expect(await guards.replica(2).api.list('?state=running&scope=crawlers')).toMatchObject({
      counts: { running: 12 },
    });
    await holder.killGroup9();

    for (const each of keys) {
      const events = await guards.eventsOf(each, 2);
      expect(events.map(({ type }) => type)).toEqual(['task-acquired', 'task-stale']);
    }
    for (const [n, { api }] of guards.replicas.entries()) {
      const listed = await until(`replica ${n} has heard of all`, async () => {
        const list = await api.list('?state=stale&scope=crawlers&limit=100');
        return list.counts['stale'] === 12 ? list : undefined;
      });
      expect(listed.counts).toEqual({ stale: 12 });
      expect(listed.tasks.map((task) => task.key).toSorted()).toEqual(keys.toSorted());
      expect(listed.tasks[0]).toMatchObject({
        ...{ state: 'stale', staleCount: 1, owner: 'crawler 7', stale: 'heal', status: 'interrupted' },
        error: { name: 'holder_gone' },
      });
      expect(await api.list('?state=running')).toMatchObject({ tasks: [] });
    }

    for (const [n, each] of keys.entries()) {
      const { token } = await show(n, each);
      const { body } = await acquire(n, each, 'next');
      expect(body).toMatchObject({ kind: 'acquired' });
      expect(body.token).toBeGreaterThan(token);
      expect(await guards.replica(n).api.renew(each, { token })).toMatchObject({ status: 409 });
      expect(await show(n + 1, each)).toMatchObject({
        state: 'running',
        staleCount: 1,
        attempts: 2,
        token: body.token,
      });
    }
    for (const each of keys) {
      const events = await guards.eventsOf(each, 4);
      expect(events.map(({ type }) => type)).toEqual([
        ...['task-acquired', 'task-stale', 'task-acquired', 'task-healed'],
      ]);
      expect(events.map(({ runId }) => runId)).toEqual([
        `run of ${each}`,
        `run of ${each}`,
        'run of next',
        'run of next',
      ]);
    }
  });

  it('whose task is of the policy approve: the next acquire needs an approval', async () => {
    const key = 'payments::run';
    const holder = await startHolder([key], { stale: 'approve' });
    const { token } = await show(0, key);
    await holder.killGroup9();
    await until('it is stale', async () => (await show(1, key)).state === 'stale');
    for (const [n] of guards.replicas.entries()) {
      const { body } = await acquire(n, key, 'next');
      expect(body).toMatchObject({ kind: 'approval_required', failedRunId: `run of ${key}`, attempts: 1 });
      expect(body.error).toMatchObject({ name: 'holder_gone' });
    }
    expect(await guards.client.acquire(key, { requestId: 'same', runId: `run of ${key}` }, PATIENT)).toMatchObject({
      kind: 'approval_required',
    });
    expect((await guards.replica(0).api.approve(key, 'ana')).status).toBe(200);
    const { body } = await acquire(1, key, 'next');
    expect(body).toMatchObject({ kind: 'acquired' });
    expect(body.token).toBeGreaterThan(token);
    expect((await acquire(2, key, 'one more')).body).toMatchObject({ kind: 'already_running' });
    expect(await show(2, key)).toMatchObject({
      staleCount: 1,
      history: [{ what: 'acquired' }, { what: 'stale' }, { what: 'approved', by: 'ana' }, { what: 'acquired' }],
    });
  });

  it('and comes back before another caller came may still say how it ended', async () => {
    const { body } = await guards.replica(0).api.acquire('came back', { requestId: 'r1', runId: 'run', ttlMs: TTL_MS });
    await guards.eventsOf('came back', 2);
    const released = await guards.replica(1).api.release('came back', { token: body.token, status: 'succeeded' });
    expect(released).toMatchObject({ status: 200, body: { kind: 'released', state: 'succeeded' } });
  });
});

it('observability: operators can inspect active guards and stale guards', async () => {
  const scope = 'main/slack:C1';
  await guards.replica(0).api.acquire(`${scope}::active`, {
    ...{ requestId: 'r1', runId: 'run 1', owner: 'worker a', meta: { ticket: 'OPS-7' }, ttlMs: 60_000 },
  });
  await guards.replica(1).api.acquire(`${scope}::left alone`, { requestId: 'r2', runId: 'run 2', ttlMs: TTL_MS });
  const failing = await acquire(2, `${scope}::failing`, 'r3');
  await guards.replica(2).api.release(`${scope}::failing`, { token: failing.body.token, status: 'timed_out' });
  const { api } = guards.replica(0);
  const query = `scope=${encodeURIComponent(scope)}`;
  await until('the one without a holder is stale', async () =>
    (await api.list(`?${query}`)).tasks.some(({ state }) => state === 'stale'),
  );
  const { tasks } = await api.list(`?${query}`);
  const states = Object.fromEntries(tasks.map(({ key, state }) => [key, state]));
  expect(states).toEqual({
    ...{ [`${scope}::active`]: 'running', [`${scope}::left alone`]: 'stale', [`${scope}::failing`]: 'failed' },
  });
  expect((await api.list(`?state=running&${query}`)).tasks).toMatchObject([
    {
      ...{ key: `${scope}::active`, runId: 'run 1', owner: 'worker a', meta: { ticket: 'OPS-7' }, attempts: 1 },
      ...{ startedAt: expect.any(Number), expiresAt: expect.any(Number), token: expect.any(Number) },
    },
  ]);
  expect((await api.list(`?state=stale&${query}`)).tasks).toMatchObject([{ key: `${scope}::left alone` }]);
  // Page by page, each task once.
  const seen: string[] = [];
  let after = '';
  for (;;) {
    const page = await api.get(`/v1/tasks?limit=1&${query}${after}`);
    seen.push(...page.body.tasks.map(({ key }: TaskView) => key));
    if (page.body.next === undefined) break;
    after = `&after=${page.body.next}`;
  }
  expect(seen.toSorted()).toEqual(Object.keys(states).toSorted());
});
