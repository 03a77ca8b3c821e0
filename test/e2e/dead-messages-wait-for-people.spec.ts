import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import { packageRoot } from '#config';
import { deadList } from '#contracts';
import { expectNothingLeft, until } from '#testing';
import { expectDocumented } from '../support/documented.js';
import { startUp, type RunningUp } from '../support/lanekeeper-up.js';
import { answerJson, answerStatus, startAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

/** An agent that takes nothing until it is told to. */
async function startMoodyAgent() {
  const mood = { isWilling: false };
  const agent = await startAgent((_call, response) =>
    mood.isWilling ? answerJson(response, { replies: [{ text: 'done' }] }) : answerStatus(response, 400),
  );
  return { agent, mood };
}

const run = promisify(execFile);

async function cli(up: RunningUp, ...args: string[]): Promise<string> {
  const root = packageRoot();
  const program = [join(root, 'dist/apps/cli/src/main.js'), 'dead', ...args];
  const env = { PATH: process.env['PATH'], LANEKEEPER_DATA_DIR: up.dir.path };
  const { stdout } = await run(join(root, 'node_modules/.bin/node'), program, { cwd: up.dir.path, env });
  return stdout;
}

it('a dead id may be sent again, also with another body, also by fifty at once: one new turn', async () => {
  const { agent, mood } = await startMoodyAgent();
  await using _agent = agent;
  await using up = await startUp({ LANEKEEPER_AGENT_URL: agent.url });
  const first = await up.api.send('s', { id: 'm1', text: 'x' }, { wait: '20s' });
  expect(first.body).toMatchObject({ decision: 'dead', seq: 1 });
  mood.isWilling = true;
  const fifty = await Promise.all(
    Array.from({ length: 50 }, () => up.api.send('s', { id: 'm1', text: 'y' }, { wait: '20s' })),
  );
  expect(new Set(fifty.map(({ body }) => body.seq)).size).toBe(1);
  expect(fifty.filter(({ body }) => !body.duplicate)).toHaveLength(1);
  const [again] = fifty;
  expect(again?.body).toMatchObject({ status: 'succeeded', decision: 'handled' });
  expect(again?.body.runId).not.toBe(first.body.runId);
  expect(agent.calls).toHaveLength(2);
  const third = await up.api.send('s', { id: 'm1', text: 'y' });
  expect(third.body).toMatchObject({ duplicate: true, seq: again?.body.seq });
  const other = await up.api.send('s', { id: 'm1', text: 'z' });
  expect(other).toMatchObject({ status: 422, body: { code: 'idempotency-mismatch' } });
  expect((await up.api.message('s', 'm1')).body).toMatchObject({ decision: 'handled', seq: again?.body.seq });
});

it('an operator lists, shows, retries and drops dead messages; a retried one runs under a new runId', async () => {
  const { agent, mood } = await startMoodyAgent();
  await using _agent = agent;
  await using up = await startUp({ LANEKEEPER_AGENT_URL: agent.url });
  expect(await cli(up, 'ls')).toBe('no dead messages\n');
  const dead = await up.api.send('chat:1', { id: 'm1', text: 'keep me', data: { n: 1 } }, { wait: '20s' });
  await up.api.send('chat:2', { id: 'm2', text: 'forget me' }, { wait: '20s' });
  const list = await up.api.get('/v1/dead');
  expectDocumented(deadList, list.body);
  expect(list.body.dead).toMatchObject([
    { deadId: 'main.chat=3A1.1', session: 'chat:1', messageId: 'm1', attempts: 1, error: { name: 'agent_refused' } },
    { deadId: 'main.chat=3A2.2', session: 'chat:2', messageId: 'm2' },
  ]);
  expect((await up.api.get('/v1/dead?session=chat%3A2')).body.dead).toHaveLength(1);
  const page = (await up.api.get('/v1/dead?limit=1')).body;
  expect(page.dead).toHaveLength(1);
  expect((await up.api.get(`/v1/dead?limit=1&after=${page.next}`)).body.dead).toMatchObject([{ messageId: 'm2' }]);
  expect(await cli(up, 'ls')).toMatch(/main\.chat=3A1\.1.*main\/chat:1.*m1/);
  expect(JSON.parse(await cli(up, 'show', 'main.chat=3A1.1'))).toMatchObject({
    message: { id: 'm1', text: 'keep me', data: { n: 1 } },
  });

  mood.isWilling = true;
  // Two operators at once: it is sent again once.
  const retries = await Promise.allSettled([
    cli(up, 'retry', 'main.chat=3A1.1'),
    up.api.get('/v1/dead/main.chat=3A1.1').then(() => cli(up, 'retry', 'main.chat=3A1.1')),
  ]);
  expect(retries.some(({ status }) => status === 'fulfilled')).toBe(true);
  const records = await up.api.decided('chat:1', 2);
  expect(records.map(({ messages, status }) => [messages.map(({ id }) => id), status])).toEqual([
    [['m1'], 'failed'],
    [['m1'], 'succeeded'],
  ]);
  expect(records[1]?.runId).not.toBe(dead.body.runId);
  expect(await cli(up, 'drop', 'main.chat=3A2.2')).toBe('main.chat=3A2.2: dropped\n');
  expect((await up.api.get('/v1/dead')).body.dead).toEqual([]);
  const gone = await up.api.get('/v1/dead/main.chat=3A2.2');
  expect(gone).toMatchObject({ status: 404, body: { code: 'not-found' } });
  await expect(cli(up, 'retry', 'main.chat=3A2.2')).rejects.toThrow(/404: deadId/);
});

it('dead messages survive a kill -9, with their content', async () => {
  const { agent } = await startMoodyAgent();
  await using _agent = agent;
  await using up = await startUp({ LANEKEEPER_AGENT_URL: agent.url });
  await up.api.send('s', { id: 'm1', text: 'keep me' }, { wait: '20s' });
  await up.service.killGroup9();
  await up.again();
  const list = await until('the list is there', async () => (await up.api.get('/v1/dead')).body.dead);
  expect(list).toMatchObject([{ messageId: 'm1' }]);
});
