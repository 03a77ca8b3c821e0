import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import { packageRoot } from '#config';
import { workerList } from '#contracts';
import { expectNothingLeft, until } from '#testing';
import { startCluster, type Cluster } from '../support/cluster.js';
import { expectDocumented } from '../support/documented.js';
import { answerJson, startAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

const run = promisify(execFile);

async function cli({ folder, ingress }: Cluster, ...args: string[]): Promise<string> {
  const root = packageRoot();
  const program = [join(root, 'dist/apps/cli/src/main.js'), 'workers', ...args];
  const env = { PATH: process.env['PATH'], LANEKEEPER_URL: ingress.url };
  return (await run(join(root, 'node_modules/.bin/node'), program, { cwd: folder, env })).stdout;
}

/** `0-15,40` as numbers. */
function shardsOf(list: string): number[] {
  return list.split(',').flatMap((range) => {
    const [from = 0, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

it('an operator sees who works, with which shards, over HTTP and on the command line', async () => {
  await using cluster = await startCluster(['b', 'a']);
  const { status, body } = await cluster.api.get('/v1/workers');
  expect(status).toBe(200);
  expectDocumented(workerList, body);
  expect(body.shards).toEqual({ total: 64, owned: 64, unowned: 0, held: 0 });
  expect(body.workers).toMatchObject([
    { worker: 'a', draining: false, capacity: 1_000, running: 0, shards: 32 },
    { worker: 'b', draining: false, capacity: 1_000, running: 0, shards: 32 },
  ]);
  const all = body.workers.flatMap(({ shardList }: { shardList: string }) => shardsOf(shardList));
  expect(all.toSorted((x: number, y: number) => x - y)).toEqual(Array.from({ length: 64 }, (_, shard) => shard));
  for (const { worker, incarnation, agents, version, waiting, busy, leaked, discarded } of body.workers) {
    expect(incarnation).toMatch(new RegExp(`^${worker}/\\w+$`));
    expect(agents).toEqual(expect.arrayContaining(['main', 'echo']));
    expect([typeof version, waiting, leaked, discarded]).toEqual(['string', 0, 0, 0]);
    expect(busy).toBeGreaterThanOrEqual(0);
    expect(busy).toBeLessThanOrEqual(1);
  }

  expect(JSON.parse(await cli(cluster, '--json'))).toMatchObject({ shards: { owned: 64 } });
  const table = await cli(cluster);
  expect(table).toMatch(/a .*working.*0 of 1000.*32/);
  expect(table).toMatch(/b .*working.*0 of 1000.*32/);
  expect(table).toContain('64 of 64 shards are owned\n');
});

it('a worker that stops is seen draining, its session as held, and then no more', async () => {
  await using agent = await startAgent(() => {});
  await using cluster = await startCluster(['a', 'b'], { agentUrl: agent.url });
  const session = await cluster.sessionOf('b');
  await cluster.api.send(session, { id: 'long', text: 'long' });
  const { closed } = await agent.call(1);
  const list = async () => (await cluster.api.get('/v1/workers')).body;
  await until('its turn is counted', async () => (await cluster.listed())[1]?.running === 1);
  cluster.of('b').signal('SIGTERM');
  await cluster.balanced('a');
  expect((await list()).workers[1]).toMatchObject({ worker: 'b', draining: true, running: 1, shards: 0 });
  expect((await list()).workers[1]).not.toHaveProperty('shardList');
  expect((await list()).shards).toEqual({ total: 64, owned: 64, unowned: 0, held: 1 });
  expect(await cli(cluster)).toContain('64 of 64 shards are owned; 1 sessions still run where they began\n');
  // As if the machine had gone: what it left is noticed by its key alone.
  await cluster.of('b').killGroup9();
  await closed;
  await until('it is gone', async () => (await cluster.listed()).length === 1);
  await cluster.balanced('a');
});

it('a worker whose slots are taken tells how many sessions wait for one', async () => {
  const answers: (() => void)[] = [];
  await using agent = await startAgent((_call, response) => void answers.push(() => answerJson(response, {})));
  await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings: { worker: { capacity: 1 } } });
  for (const session of ['one', 'two', 'three']) await cluster.api.send(session, { id: session, text: session });
  const isCounted = async (running: number, waiting: number) => {
    const [a] = (await cluster.api.get('/v1/workers')).body.workers;
    return a.running === running && a.waiting === waiting;
  };
  await until('one runs and two wait', () => isCounted(1, 2));
  for (let turn = 1; turn <= 3; turn++) {
    await agent.call(turn);
    answers[turn - 1]?.();
  }
  await until('none waits any more', () => isCounted(0, 0));
});

it('without workers the list is empty, every shard is unowned, and while the broker is away the answer is 503', async () => {
  await using cluster = await startCluster([]);
  expect((await cluster.api.get('/v1/workers')).body).toEqual({
    workers: [],
    shards: { total: 64, owned: 0, unowned: 64, held: 0 },
  });
  expect(await cli(cluster)).toBe('no workers\n0 of 64 shards are owned, 64 by nobody: their sessions wait\n');
  await cluster.broker.stop();
  await until('the ingress knows', async () => (await cluster.api.get('/readyz')).status === 503);
  const away = await cluster.api.get('/v1/workers');
  expect(away).toMatchObject({ status: 503, body: { code: 'broker-unavailable' } });
  expect(away.headers.get('retry-after')).toBe('2');
  await cluster.broker.restart();
  await until('it answers again', async () => (await cluster.api.get('/v1/workers')).status === 200);
});
