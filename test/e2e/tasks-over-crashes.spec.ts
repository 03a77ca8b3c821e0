import { afterEach, describe, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { startCluster } from '../support/cluster.js';
import { answerJson, answerStatus, startAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

/** Longer than a membership, so that the one who takes over meets a holding that still stands. */
const TASK = { name: 'deploy', ttlMs: 6_000 };
const path = (session: string): string => `/${encodeURIComponent(`main/${session}::deploy`)}`;

/** An agent whose calls stay open until the test answers them. */
function startOpenAgent() {
  const answers: (() => void)[] = [];
  return startAgent((_call, response, count) => {
    answers.push(() => answerJson(response, { replies: [`call ${count}`] }));
  }).then((agent) => ({ agent, answer: (n: number) => answers[n - 1]?.() }));
}

describe('a worker is killed while a turn holds a task', () => {
  it('the task is stale after its time, healed, and run again under a higher token; never two holders (G1, G3, G4)', async () => {
    const { agent: opened, answer } = await startOpenAgent();
    await using agent = opened;
    await using cluster = await startCluster(['a', 'b'], { agentUrl: agent.url, guard: true });
    const { api, ask } = cluster;
    const session = await cluster.sessionOf('a');
    await api.send(session, { id: 'm', text: 'x', task: TASK });
    const first = await agent.call(1);
    const { body: held } = await ask(path(session));
    cluster.of('a').signal('SIGKILL');
    // Who takes over meets the holding of its own run, and waits for its end: it may still be at work.
    await until('its turn is put off', async () => (await api.session(session)).state === 'retrying');
    expect(agent.calls).toHaveLength(1);
    const outside = { requestId: 'r', runId: first.runId };
    const own = { kind: 'already_running', own: true, startedAt: held.startedAt };
    expect((await ask(`${path(session)}/acquire`, outside)).body).toMatchObject(own);

    const second = await agent.call(2);
    expect([second.runId, second.attempt]).toEqual([first.runId, 2]);
    expect(second.task?.token).toBeGreaterThan(first.task?.token ?? Number.NaN);
    const { body: again } = await ask(path(session));
    expect(again).toMatchObject({ state: 'running', staleCount: 1, token: second.task?.token });
    const steps = again.history.map(({ what }: { what: string }) => what);
    expect(steps).toEqual(['acquired', 'stale', 'acquired']);
    expect(again.startedAt).toBeGreaterThanOrEqual(held.startedAt + TASK.ttlMs);
    answer(2);
    await api.decided(session, 1);
    await until('it is free', async () => (await ask(path(session))).body.state === 'succeeded');
  });

  it('with the policy approve it asks for an approval instead, and the message is refused', async () => {
    const { agent: opened, answer } = await startOpenAgent();
    await using agent = opened;
    await using cluster = await startCluster(['a', 'b'], { agentUrl: agent.url, guard: true });
    const { api, ask } = cluster;
    const session = await cluster.sessionOf('a');
    await api.send(session, { id: 'm', text: 'x', task: { ...TASK, ttlMs: 1_000, stale: 'approve' } });
    await agent.call(1);
    cluster.of('a').signal('SIGKILL');
    const records = await api.decided(session, 1);
    expect(records.flatMap(({ messages }) => messages)).toMatchObject([
      { id: 'm', decision: 'refused', reason: 'approval_required' },
    ]);
    expect((await ask('?state=stale')).body.tasks).toMatchObject([{ state: 'stale', stale: 'approve' }]);
    expect(agent.calls).toHaveLength(1);
    await ask(`${path(session)}/approve-retry`, { by: 'ann' });
    await api.send(session, { id: 'n', text: 'x', task: TASK });
    await agent.call(2);
    answer(2);
    await api.decided(session, 2);
  });
});

it('a worker that was stopped and goes on never holds the token of its re-run: what it says is a 409, and changes nothing (G4)', async () => {
  const { agent: opened, answer } = await startOpenAgent();
  await using agent = opened;
  await using cluster = await startCluster(['a', 'b'], { agentUrl: agent.url, guard: true });
  const { api, ask } = cluster;
  const session = await cluster.sessionOf('a');
  await api.send(session, { id: 'm', text: 'x', task: { ...TASK, ttlMs: 1_000 } });
  const first = await agent.call(1);
  cluster.of('a').signal('SIGSTOP');
  const second = await agent.call(2);
  expect(second.runId).toBe(first.runId);
  expect(second.task?.token).not.toBe(first.task?.token);
  const { body: before } = await ask(path(session));
  // As its zombie would: with the token that the agent was given.
  const late = await ask(`${path(session)}/release`, { token: first.task?.token, status: 'succeeded' });
  const renewal = await ask(`${path(session)}/renew`, { token: first.task?.token });
  expect([late.status, renewal.status]).toEqual([409, 409]);
  cluster.of('a').signal('SIGCONT');
  await first.closed;
  const after = (await ask(path(session))).body;
  expect([after.state, after.token, after.history]).toEqual(['running', before.token, before.history]);
  answer(2);
  await api.decided(session, 1);
  const [turn] = (await api.turns(session)).filter(({ kind }) => kind === 'turn');
  expect(turn).toMatchObject({ status: 'succeeded', attempt: 2 });
});

it('a planned handoff between two attempts keeps the task held: the next worker goes on under a greater token (G4)', async () => {
  await using agent = await startAgent((_call, response, count) =>
    count === 1 ? answerStatus(response, 500) : answerJson(response, { replies: ['ok'] }),
  );
  const settings = { agents: { main: { backoffInitialMs: 3_000 } } };
  await using cluster = await startCluster(['a', 'b'], { agentUrl: agent.url, guard: true, settings });
  const { api, ask } = cluster;
  const session = await cluster.sessionOf('a');
  await api.send(session, { id: 'm', text: 'x', task: { ...TASK, maxAttempts: 2 } });
  const first = await agent.call(1);
  await until('it waits for its next attempt', async () => (await api.session(session)).state === 'retrying');
  await cluster.of('a').stop();
  const second = await agent.call(2);
  expect([second.attempt, second.task?.key]).toEqual([2, first.task?.key]);
  expect(second.task?.token).toBeGreaterThan(first.task?.token ?? 0);
  await api.decided(session, 1);
  const done = await until('it is free', async () => {
    const { body } = await ask(path(session));
    return body.state === 'succeeded' ? body : undefined;
  });
  expect(done.history.map(({ what }: { what: string }) => what)).toEqual(['acquired', 'acquired', 'released']);
});

it('a task that failed while the guard was away stays failed, though its worker is killed before the guard is back (G2)', async () => {
  const answered = Promise.withResolvers<void>();
  await using agent = await startAgent(async (_call, response) => {
    await answered.promise;
    answerStatus(response, 500);
  });
  const settings = { agents: { main: { maxAttempts: 1 } } };
  await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings });
  const { api, ask } = cluster;
  const guard = await cluster.startGuard();
  const session = 'telegram:42';
  await api.send(session, { id: 'm', text: 'x', task: TASK });
  await agent.call(1);
  await guard.killGroup9();
  answered.resolve();
  const records = await api.decided(session, 1);
  expect(records.flatMap(({ messages }) => messages)).toMatchObject([{ id: 'm', decision: 'dead' }]);
  await cluster.of('a').killGroup9();
  await cluster.startGuard();
  const acquire = { requestId: 'r', runId: 'another' };
  const answer = await until('its time is over', async () => {
    const { body } = await ask(`${path(session)}/acquire`, acquire);
    return body.kind === 'already_running' ? undefined : body;
  });
  expect(answer).toMatchObject({ kind: 'approval_required', failedRunId: expect.any(String) });
  expect((await ask(path(session))).body).toMatchObject({ state: 'failed', staleCount: 0 });
});
