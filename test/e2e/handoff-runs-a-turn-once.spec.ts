import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { startCluster, type Cluster } from '../support/cluster.js';
import { answerJson, answerStatus, startAgent, type RecordingAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

type Answer = (status: 200 | 500) => void;

interface Chain {
  readonly cluster: Cluster;
  readonly session: string;
  readonly answers: readonly Answer[];
}

/** A runs a turn and is stopped; B takes over and is stopped; C has all, while A still runs that turn. */
async function handOver(cluster: Cluster, agent: RecordingAgent, answers: readonly Answer[]): Promise<Chain> {
  const { api } = cluster;
  const session = await cluster.sessionOf('a');
  await api.send(session, { id: 'm1', text: 'long' });
  await agent.call(1);
  await cluster.start('b');
  cluster.of('a').signal('SIGTERM');
  await cluster.balanced('b');
  // It is held, and what comes for it waits; every other session goes on at once.
  await api.send(session, { id: 'm2', text: 'waits' });
  expect(await api.session(session)).toMatchObject({ state: 'held', depth: 1, running: { attempt: 1 } });
  const other = api.send('another', { id: 'o1', text: 'other' }, { wait: '20s' });
  await agent.call(2);
  answers[1]?.(200);
  expect((await other).body).toMatchObject({ status: 'succeeded' });
  await cluster.start('c');
  cluster.of('b').signal('SIGTERM');
  expect(await cluster.of('b').exited).toEqual({ code: 0, signal: null });
  await cluster.balanced('c');
  expect(await api.session(session)).toMatchObject({ state: 'held', depth: 1, running: { attempt: 1 } });
  expect((await api.message(session, 'm1')).body).toMatchObject({ disposition: 'running' });
  return { cluster, session, answers };
}

function collectAnswers(): { answers: Answer[]; behave: Parameters<typeof startAgent>[0] } {
  const answers: Answer[] = [];
  return {
    answers,
    behave: (_call, response) => {
      answers.push((status) => (status === 200 ? answerJson(response, {}) : answerStatus(response, status)));
    },
  };
}

const turnsOf = async ({ cluster, session }: Chain, count: number): Promise<[string[], number, string][]> =>
  (await cluster.api.decided(session, count))
    .filter(({ kind }) => kind === 'turn')
    .map(({ messages, attempt, worker }) => [
      messages.map(({ id }) => id),
      attempt ?? 0,
      String(worker).replace(/\/.*/, ''),
    ]);

it('A to B to C while A still runs: run once, committed once by A, and the session goes on at C (L1, L2, L7)', async () => {
  const { answers, behave } = collectAnswers();
  await using agent = await startAgent(behave);
  await using cluster = await startCluster(['a'], { agentUrl: agent.url });
  const chain = await handOver(cluster, agent, answers);
  answers[0]?.(200);
  expect(await cluster.of('a').exited).toEqual({ code: 0, signal: null });
  await agent.call(3);
  answers[2]?.(200);
  expect(await turnsOf(chain, 2)).toEqual([
    [['m1'], 1, 'a'],
    [['m2'], 1, 'c'],
  ]);
  expect(agent.calls.map(({ message }) => message.id)).toEqual(['m1', 'o1', 'm2']);
});

it('A to B to C, and A is killed: run again once, at C (L1, L3, L7)', async () => {
  const { answers, behave } = collectAnswers();
  await using agent = await startAgent(behave);
  await using cluster = await startCluster(['a'], { agentUrl: agent.url });
  const chain = await handOver(cluster, agent, answers);
  await cluster.of('a').killGroup9();
  const again = await agent.call(3);
  expect(again).toMatchObject({ runId: agent.calls[0]?.runId, attempt: 2, message: { id: 'm1' } });
  answers[2]?.(200);
  await agent.call(4);
  answers[3]?.(200);
  expect(await turnsOf(chain, 2)).toEqual([
    [['m1'], 2, 'c'],
    [['m2'], 1, 'c'],
  ]);
  expect(agent.calls.map(({ message }) => message.id)).toEqual(['m1', 'o1', 'm1', 'm2']);
});

it('a held turn that fails is tried again by the owner, not by the one that held it', async () => {
  const { answers, behave } = collectAnswers();
  await using agent = await startAgent(behave);
  await using cluster = await startCluster(['a'], {
    agentUrl: agent.url,
    settings: { agents: { main: { backoffInitialMs: 1_500 } } },
  });
  const chain = await handOver(cluster, agent, answers);
  answers[0]?.(500);
  // Its holder notes the failure, lets go and ends; the batch waits for its next attempt at the owner.
  expect(await cluster.of('a').exited).toEqual({ code: 0, signal: null });
  await until('the owner waits for the retry', async () => {
    const { state, worker } = await cluster.api.session(chain.session);
    return state === 'retrying' && String(worker).startsWith('c/');
  });
  expect(await agent.call(3)).toMatchObject({ runId: agent.calls[0]?.runId, attempt: 2, message: { id: 'm1' } });
  answers[2]?.(200);
  await agent.call(4);
  answers[3]?.(200);
  expect(await turnsOf(chain, 2)).toEqual([
    [['m1'], 2, 'c'],
    [['m2'], 1, 'c'],
  ]);
});
