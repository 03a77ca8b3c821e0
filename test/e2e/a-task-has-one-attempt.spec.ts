import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { requestJson } from '../support/api-client.js';
import { startCluster } from '../support/cluster.js';
import { answerJson, answerStatus, startAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

const KEY = `/${encodeURIComponent('main/s::deploy')}`;
const TURNS = { turnTimeoutMs: 700, abortGraceMs: 200, backoffInitialMs: 20 };
const BUSY_MS = 2_500;

it('an agent that is busy for longer than its turn has, and ignores the closed connection: one attempt, timed out, and an approval is asked for (G2)', async () => {
  const ended: number[] = [];
  await using agent = await startAgent((_call, response, count) => {
    if (count > 1) return answerJson(response, { replies: ['done'] });
    setTimeout(() => ended.push(count), BUSY_MS);
  });
  const settings = { agents: { main: TURNS } };
  await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings, guard: true });
  const { api, ask } = cluster;
  const dead = await api.send('s', { id: 'm', text: 'go', task: 'deploy' }, { wait: '20s' });
  expect(dead.body).toMatchObject({ decision: 'dead', status: 'timed_out', error: { name: 'turn_timeout' } });
  expect((await ask(KEY)).body).toMatchObject({ state: 'failed', status: 'timed_out', attempts: 1 });
  // While it still runs no other call begins, and after it neither.
  const meanwhile = await api.send('s', { id: 'n', text: 'go', task: 'deploy' }, { wait: '20s' });
  expect(meanwhile.body).toMatchObject({ decision: 'refused', reason: 'approval_required' });
  await until('the agent is done', () => ended.length === 1);
  expect(agent.calls).toHaveLength(1);
  const { body: letters } = await api.get('/v1/dead');
  const retry = `${api.url}/v1/dead/${encodeURIComponent(letters.dead[0].deadId)}/retry`;
  expect((await requestJson(retry, {})).status).toBe(409);
  await ask(`${KEY}/approve-retry`, { by: 'ann' });
  expect((await requestJson(retry, {})).status).toBe(202);
  const second = await agent.call(2);
  expect(second.task?.token).toBeGreaterThan(agent.calls[0]?.task?.token ?? 0);
  await api.decided('s', 3);
});

it('a connection that is cut behind the request is no clear answer: one attempt, timed out, whatever attempts are left (G2)', async () => {
  await using agent = await startAgent((_call, response) => void response.socket?.destroy());
  const settings = { agents: { main: TURNS } };
  await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings, guard: true });
  const task = { name: 'deploy', maxAttempts: 3 };
  const dead = await cluster.api.send('s', { text: 'go', task }, { wait: '20s' });
  expect(dead.body).toMatchObject({ decision: 'dead', status: 'timed_out' });
  expect(agent.calls).toHaveLength(1);
  expect((await cluster.ask(KEY)).body).toMatchObject({ state: 'failed', status: 'timed_out' });
});

it('an error answer is a failure: one attempt where nothing else is said, and "later" uses up none', async () => {
  await using agent = await startAgent((_call, response, count) =>
    answerStatus(response, count === 1 ? 503 : 500, { 'retry-after': '1' }),
  );
  const settings = { agents: { main: TURNS } };
  await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings, guard: true });
  const dead = await cluster.api.send('s', { text: 'go', task: 'deploy' }, { wait: '20s' });
  expect(dead.body).toMatchObject({ decision: 'dead', status: 'failed', error: { name: 'agent_failed' } });
  expect(agent.calls.map(({ attempt }) => attempt)).toEqual([1, 1]);
  const [first, second] = agent.calls.map(({ task }) => task?.token ?? 0);
  expect(second).toBeGreaterThan(first ?? 0);
});
