import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import { packageRoot } from '#config';
import { expectNothingLeft, startService, tempDir, until } from '#testing';
import { ApiClient, requestJson } from '../support/api-client.js';
import { spawnCli } from '../support/built-program.js';
import { startCluster, type Cluster } from '../support/cluster.js';
import { startUp } from '../support/lanekeeper-up.js';
import { answerJson, answerStatus, startAgent, type AgentCall } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

const idsOf = ({ messages }: AgentCall): string[] => messages.map(({ id }) => id);

/** What an operator sees on the command line. */
async function listWorkers(url: string): Promise<string> {
  const root = packageRoot();
  const env = { PATH: process.env['PATH'], LANEKEEPER_URL: url };
  const program = [join(root, 'dist/apps/cli/src/main.js'), 'workers'];
  return (await promisify(execFile)(join(root, 'node_modules/.bin/node'), program, { env })).stdout;
}

/**
 * Puts other agents into the settings of the installation, as an operator does. Answers what a process needs to be told so
 * too.
 */
async function pushed(cluster: Cluster, agents: object): Promise<NodeJS.ProcessEnv> {
  const file = join(cluster.folder, 'pushed.json');
  const membership = { ttlMs: 2_000, renewMs: 400 };
  await writeFile(file, JSON.stringify({ membership, agents, log: { level: 'warn' } }));
  const config = { LANEKEEPER_CONFIG: file };
  const command = await spawnCli({ folder: cluster.folder, env: { ...cluster.env, ...config } }, ['settings', 'push']);
  expect((await command.exited).code, command.output()).toBe(0);
  return config;
}

/** `up` with an agent `support`, which fails until it is willing; its settings may be written anew, with a typo or without. */
async function startSupport(inbox: object = {}) {
  const mood = { isWilling: false };
  const agent = await startAgent((_call, response) =>
    mood.isWilling ? answerJson(response, { replies: [{ text: 'done' }] }) : answerStatus(response, 500),
  );
  const folder = await tempDir('settings');
  const file = join(folder.path, 'lanekeeper.json');
  const write = (name: string): Promise<void> => {
    const agents = { [name]: { url: agent.url, backoffInitialMs: 1_500 } };
    return writeFile(file, JSON.stringify({ agents, inbox }));
  };
  await write('support');
  const up = await startUp({ LANEKEEPER_CONFIG: file });
  return {
    mood,
    agent,
    up,
    api: () => new ApiClient(up.service.url ?? '', 'support'),
    restartAs: async (name: string): Promise<void> => {
      up.service.signal('SIGTERM');
      await up.service.exited;
      await write(name);
      await up.again();
    },
    async [Symbol.asyncDispose]() {
      await up[Symbol.asyncDispose]();
      await agent[Symbol.asyncDispose]();
      await folder.remove();
    },
  };
}

it('L1 L2 L3 L7 a restart with a typo in the name of an agent ends none of its messages: they wait, and run after the next one', async () => {
  await using support = await startSupport();
  const { agent, mood, up, restartAs } = support;
  await support.api().send('s', { id: 'm1', text: 'one' });
  await until(
    'its turn waits for the next attempt',
    async () => (await support.api().session('s')).state === 'retrying',
  );
  const { runId } = (await support.api().session('s')).retry;
  await support.api().send('s', { id: 'm2', text: 'two' });
  await support.api().send('s', { id: 'm3', text: 'three' });
  const { length: calls } = agent.calls;

  await restartAs('suport');
  const api = support.api();
  const waiting = await until('it is seen that they wait', async () => {
    const session = await api.session('s');
    return session.state === 'waiting-for-agent' && session.depth === 3 ? session : undefined;
  });
  expect(waiting).toMatchObject({ agent: 'support', retry: { runId }, worker: expect.any(String) });
  for (const [i, id] of ['m1', 'm2', 'm3'].entries())
    expect((await api.message('s', id)).body).toMatchObject({
      ...{ disposition: 'waiting', position: i + 1, reason: 'waiting-for-agent' },
    });
  await until('it is counted', async () => {
    const [worker] = (await api.get('/v1/workers')).body.workers;
    return worker.waitingForAgents?.support === 1;
  });
  expect(await listWorkers(api.url)).toContain('1 session waits for agent support');
  expect((await api.turns('s')).filter(({ messages }) => messages.length > 0)).toEqual([]);
  // Nothing is taken that could not run, and a session of which nothing is there is none.
  expect((await api.send('s', { id: 'm4', text: 'four' })).status).toBe(404);
  expect((await api.get(api.path('unknown'))).status).toBe(404);
  expect(up.service.output().match(/"messages wait for agent support, /g) ?? []).toHaveLength(1);
  expect(agent.calls).toHaveLength(calls);

  mood.isWilling = true;
  await restartAs('support');
  const records = await support.api().decided('s', 3);
  expect(records.flatMap(({ messages }) => messages.map(({ id, decision }) => [id, decision]))).toEqual(
    ['m1', 'm2', 'm3'].map((id) => [id, 'handled']),
  );
  const [again, ...behind] = agent.calls.slice(calls);
  expect([again?.runId, again?.attempt, idsOf(again as AgentCall)]).toEqual([runId, 2, ['m1']]);
  expect(behind.map(idsOf)).toEqual([['m2', 'm3']]);
  expect((await support.api().send('s', { id: 'm3', text: 'three' })).body).toMatchObject({ duplicate: true });
});

it('operators end messages whose agent is missing: one, a run, and all of a session', async () => {
  await using support = await startSupport();
  await support.api().send('s', { id: 'm1', text: 'one' });
  await until(
    'its turn waits for the next attempt',
    async () => (await support.api().session('s')).state === 'retrying',
  );
  const { runId } = (await support.api().session('s')).retry;
  for (const id of ['m2', 'm3', 'm4']) await support.api().send('s', { id, text: id });
  await support.restartAs('suport');
  const api = support.api();
  const cancelled = async (url: string): Promise<string[]> => {
    const { status, body } = await requestJson(`${url}/cancel?wait=20s`, {});
    expect(status).toBe(200);
    return body.cancelled.map(({ id }: { id: string }) => id);
  };
  expect(await cancelled(`${api.path('s')}/messages/m3`)).toEqual(['m3']);
  expect(await cancelled(`${api.url}/v1/runs/${encodeURIComponent(runId)}`)).toEqual(['m1']);
  expect(await api.session('s')).toMatchObject({ state: 'waiting-for-agent', depth: 2 });
  expect(await cancelled(api.path('s'))).toEqual(['m2', 'm4']);
  expect(await api.session('s')).toMatchObject({ state: 'idle', depth: 0 });
});

it('what waits for its agent for too long ends as a dead letter with its content, and runs when it is sent again', async () => {
  await using support = await startSupport({ agentMissingMs: 2_000 });
  const { mood, restartAs } = support;
  await support.api().send('s', { id: 'm1', text: 'one', data: { n: 1 } });
  await until(
    'its turn waits for the next attempt',
    async () => (await support.api().session('s')).state === 'retrying',
  );
  await restartAs('suport');
  const api = support.api();
  await api.decided('s', 1);
  const { body } = await api.get('/v1/dead?agent=support');
  expect(body.dead).toMatchObject([
    { agent: 'support', messageId: 'm1', attempts: 1, error: { name: 'agent-missing' } },
  ]);
  const [{ deadId }] = body.dead;
  expect((await api.get(`/v1/dead/${deadId}`)).body.message).toMatchObject({ text: 'one', data: { n: 1 } });
  expect((await api.message('s', 'm1')).body).toMatchObject({ decision: 'dead', reason: 'agent-missing' });
  expect(support.up.service.output()).toContain('messages end dead');

  mood.isWilling = true;
  await restartAs('support');
  expect((await requestJson(`${support.api().url}/v1/dead/${deadId}/retry`, {})).status).toBe(202);
  await support.api().decided('s', 2);
  expect((await support.api().message('s', 'm1')).body).toMatchObject({ decision: 'handled' });
});

it('L1 L2 in a rolling update no message for a new agent is lost while an old worker owns its shard: a new one gets that', async () => {
  await using agent = await startAgent((_call, response) => answerJson(response, {}));
  const before = { main: { maxAttempts: 2 } };
  await using cluster = await startCluster(['old'], { settings: { agents: before } });
  // The push comes first. The old worker goes on with what it started with.
  const config = await pushed(cluster, { ...before, research: { url: agent.url } });
  await using ingress = await startService({
    args: ['ingress'],
    cwd: cluster.folder,
    env: { ...cluster.env, ...config },
  });
  await cluster.start('new', config);
  await cluster.balanced('new', 'old');
  const research = new ApiClient(ingress.url ?? '', 'research');
  const sessions = Array.from({ length: 20 }, (_, i) => `s${i}`);
  for (const id of ['m1', 'm2']) await Promise.all(sessions.map((session) => research.send(session, { id, text: id })));
  const echoed = sessions.map((session) => cluster.api.send(session, { text: 'still here' }, { wait: '20s' }));
  for (const { body } of await Promise.all(echoed)) expect(body).toMatchObject({ status: 'succeeded' });
  for (const session of sessions) {
    const records = await research.decided(session, 2, 20_000);
    expect(records.flatMap(({ messages }) => messages.map(({ id, decision }) => [id, decision]))).toEqual([
      ['m1', 'handled'],
      ['m2', 'handled'],
    ]);
    expect(records.every(({ worker }) => worker.startsWith('new/'))).toBe(true);
  }
  expect(new Set(agent.calls.map(({ runId }) => runId)).size).toBe(agent.calls.length);
  // Of what the old one has, nothing had to move.
  expect((await cluster.listed()).find(({ worker }) => worker === 'old')?.shards).toBeGreaterThan(5);
});

it('L5 agents of two workers that have nothing in common get their turn in every shard', async () => {
  await using agent = await startAgent((_call, response) => answerJson(response, {}));
  const { url } = agent;
  const agents = { sales: { url, secret: 'the secret of sales' }, ops: { url, secret: 'the secret of ops' } };
  await using cluster = await startCluster([], { settings: { agents } });
  for (const [name, { secret }] of Object.entries(agents)) {
    const file = join(cluster.folder, `${name}.json`);
    const membership = { ttlMs: 2_000, renewMs: 400 };
    // What a worker lacks the secret of it cannot call.
    await writeFile(file, JSON.stringify({ membership, agents: { [name]: { secret } }, log: { level: 'warn' } }));
    await cluster.start(name, { LANEKEEPER_CONFIG: file });
  }
  await cluster.balanced('ops', 'sales');
  const apis = Object.keys(agents).map((name) => new ApiClient(cluster.api.url, name));
  const sessions = Array.from({ length: 12 }, (_, i) => `s${i}`);
  for (const api of apis) for (const session of sessions) await api.send(session, { id: 'm1', text: 'x' });
  for (const api of apis)
    for (const session of sessions)
      expect(await api.decided(session, 1, 40_000)).toMatchObject([{ messages: [{ decision: 'handled' }] }]);
  expect(agent.calls).toHaveLength(24);
}, 90_000);
