import { afterEach, describe, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { requestJson } from '../support/api-client.js';
import { startCluster, type Cluster } from '../support/cluster.js';
import { startHoldingAgent } from '../support/holding-agent.js';
import { answerJson, answerStatus, startAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

const FAST = { backoffInitialMs: 20, backoffMaxMs: 50 };
const keyOf = (session: string, name: string): string => encodeURIComponent(`main/${session}::${name}`);

describe('queue pressure scenarios no longer amplify duplicate task creation', () => {
  it.each([
    ['its run is slow', 'deploy'],
    ['its session is busy with something else', undefined],
  ])(
    '50 triggers of one task while its session has 20 messages waiting and %s: one run, the others refused, lane depth does not grow by them',
    async (_title, running) => {
      await using agent = await startHoldingAgent((_call, response) => answerJson(response, { replies: ['ok'] }));
      // Full: one message more pushes the oldest out, unless it is not counted.
      const settings = { agents: { main: { strategy: 'fifo', maxQueueSize: 21 } } };
      await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings, guard: true });
      const { api } = cluster;
      await api.send('s', { id: 'hold', text: 'hold', ...(running === undefined ? {} : { task: running }) });
      await agent.isHeld('s');
      for (let i = 0; i < 20; i++) await api.send('s', { id: `w${i}`, text: `w${i}` });
      await depthIs(cluster, 's', 20);
      const triggers = Array.from({ length: 50 }, (_, i) => `t${i}`);
      for (const id of triggers) await api.send('s', { id, text: 'go', task: 'deploy' });
      const refusedNow = running === undefined ? 49 : 50;
      const refused = await until(`${refusedNow} triggers are refused`, async () => {
        const decided = (await api.turns('s')).flatMap(({ messages }) => messages);
        return decided.length >= refusedNow ? decided : undefined;
      });
      expect(new Set(refused.map(({ decision, reason }) => `${decision} ${reason}`))).toEqual(
        new Set(['refused already_running']),
      );
      await depthIs(cluster, 's', 20 + (50 - refusedNow));
      agent.letGo('s');
      const records = await api.decided('s', 71);
      const decided = new Map(records.flatMap(({ messages }) => messages).map(({ id, decision }) => [id, decision]));
      expect([...decided.values()].filter((decision) => decision === 'refused')).toHaveLength(refusedNow);
      // One run of the task in all, and no message was pushed out for a trigger that was refused.
      expect(agent.calls.filter(({ task }) => task !== undefined)).toHaveLength(1);
      for (let i = 0; i < 20; i++) expect(decided.get(`w${i}`)).toBe('handled');
      expect(records.flatMap(({ messages }) => messages)).toHaveLength(71);
    },
  );
});

describe('a message with a task', () => {
  it('that has three attempts and fails in each: three tokens, each greater than the last, one failed, no further call until approve-retry, not through the dead letters either', async () => {
    let isBroken = true;
    await using agent = await startAgent((_call, response) =>
      isBroken ? answerStatus(response, 500) : answerJson(response, { replies: ['done'] }),
    );
    const settings = { agents: { main: FAST } };
    await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings, guard: true });
    const { api, ask } = cluster;
    const dead = await api.send(
      's',
      { id: 'm1', text: 'x', task: { name: 'deploy', maxAttempts: 3 } },
      { wait: '20s' },
    );
    expect(dead.body).toMatchObject({ decision: 'dead', status: 'failed' });
    expect(agent.calls.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect(agent.calls.map(({ task }) => task?.key)).toEqual(Array(3).fill('main/s::deploy'));
    const tokens = agent.calls.map(({ task }) => task?.token ?? 0);
    expect(tokens).toEqual([...new Set(tokens)].toSorted((a, b) => a - b));
    const failed = (await ask(`/${keyOf('s', 'deploy')}`)).body;
    expect(failed).toMatchObject({ state: 'failed', runId: dead.body.runId, attempts: 3 });
    expect(failed.history.map(({ what, status }: Record<string, string>) => [what, status])).toEqual([
      ...Array.from({ length: 3 }, () => ['acquired', undefined]),
      ['released', 'failed'],
    ]);

    // No caller gets it: not another message, not an operator's retry of the dead one, not an outside runtime.
    const again = await api.send('s', { id: 'm2', text: 'x', task: 'deploy' }, { wait: '20s' });
    const refusal = { decision: 'refused', status: 'refused', reason: 'approval_required' };
    expect(again.body).toMatchObject({ ...refusal, replies: [{ data: { failedRunId: dead.body.runId } }] });
    const { body: letters } = await api.get('/v1/dead');
    const path = `${api.url}/v1/dead/${encodeURIComponent(letters.dead[0].deadId)}/retry`;
    const retry = await requestJson(path, {});
    expect(retry).toMatchObject({
      status: 409,
      body: { code: 'task-not-free', task: 'main/s::deploy', state: 'failed' },
    });
    expect((await api.get('/v1/dead')).body.dead).toHaveLength(1);
    const outside = await ask(`/${keyOf('s', 'deploy')}/acquire`, { requestId: 'r', runId: dead.body.runId });
    expect(outside.body).toMatchObject({ kind: 'approval_required', failedRunId: dead.body.runId });
    expect(agent.calls).toHaveLength(3);

    isBroken = false;
    expect((await ask(`/${keyOf('s', 'deploy')}/approve-retry`, { by: 'ann' })).body).toMatchObject({ by: 'ann' });
    // Now the dead one may be tried again, and takes the approval with it.
    const retried = await requestJson(path, {});
    expect(retried.status).toBe(202);
    const handled = await until('the retried message is decided', async () =>
      (await api.turns('s')).flatMap(({ messages }) => messages).find(({ seq }) => seq === retried.body.seq),
    );
    expect(handled).toMatchObject({ id: 'm1', decision: 'handled' });
    expect(agent.calls).toHaveLength(4);
    expect(agent.calls[3]?.task?.token).toBeGreaterThan(tokens.at(-1) ?? 0);
    const free = await api.send('s', { id: 'm4', text: 'x', task: 'deploy' }, { wait: '20s' });
    expect(free.body).toMatchObject({ decision: 'handled' });
  });

  it('is refused in every session that shares it while one runs it, and tells by whom and since when', async () => {
    await using agent = await startHoldingAgent((_call, response) => answerJson(response, { replies: ['ok'] }));
    await using cluster = await startCluster(['a'], { agentUrl: agent.url, guard: true });
    const { api, ask } = cluster;
    const task = { name: 'report', namespace: 'ops' };
    await api.send('one', { id: 'hold', text: 'hold', task });
    await agent.isHeld('one');
    const { body: running } = await ask(`/${encodeURIComponent('ops::report')}`);
    expect(running).toMatchObject({ state: 'running', owner: 'main/one' });
    const other = await api.send('two', { id: 'm', text: 'x', task }, { wait: '20s' });
    expect(other.body).toMatchObject({
      decision: 'refused',
      reason: 'already_running',
      replies: [{ data: { task: 'ops::report', runId: running.runId, startedAt: running.startedAt } }],
    });
    // Both sessions' routes tell of it as far as it is theirs.
    expect((await api.session('one')).tasks).toMatchObject([{ key: 'ops::report', state: 'running' }]);
    expect((await api.session('two')).tasks).toEqual([]);
    // A message without the task runs as any other.
    expect((await api.send('two', { id: 'n', text: 'x' }, { wait: '20s' })).body).toMatchObject({
      decision: 'handled',
    });
    agent.letGo('one');
    await api.decided('one', 1);
    await until(
      'it is free',
      async () => (await ask(`/${encodeURIComponent('ops::report')}`)).body.state === 'succeeded',
    );
    const later = await api.send('two', { id: 'o', text: 'x', task }, { wait: '20s' });
    expect(later.body).toMatchObject({ decision: 'handled' });
  });

  it('that only its agent’s settings find (taskFrom) waits for its approval among the dead ones too', async () => {
    await using agent = await startAgent((_call, response) => answerStatus(response, 500));
    const settings = { agents: { main: { ...FAST, taskFrom: { commands: ['/deploy'], maxAttempts: 2 } } } };
    await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings, guard: true });
    const { api, ask } = cluster;
    const sent = await api.send('s', { id: 'm1', text: '/deploy now' }, { wait: '20s' });
    expect(sent.body).toMatchObject({ decision: 'dead', status: 'failed' });
    const { body: letters } = await api.get('/v1/dead');
    const path = `${api.url}/v1/dead/${encodeURIComponent(letters.dead[0].deadId)}/retry`;
    expect(await requestJson(path, {})).toMatchObject({
      status: 409,
      body: { code: 'task-not-free', task: 'main/s::deploy', state: 'failed' },
    });
    expect((await api.get('/v1/dead')).body.dead).toHaveLength(1);
    await ask(`/${keyOf('s', 'deploy')}/approve-retry`, { by: 'ann' });
    expect((await requestJson(path, {})).status).toBe(202);
    await api.decided('s', 2);
    expect(agent.calls).toHaveLength(4);
  });

  it('is one also where only its agent’s settings say so (taskFrom)', async () => {
    await using agent = await startHoldingAgent((_call, response) => answerJson(response, { replies: ['ok'] }));
    const settings = { agents: { main: { taskFrom: { commands: ['/deploy'], data: 'job.name', namespace: 'ops' } } } };
    await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings, guard: true });
    const { api } = cluster;
    const channel = 'telegram:-100';
    await api.sendByPlace({ channel, thread: '1', text: 'hold', data: { job: { name: 'deploy' } } });
    await agent.isHeld('telegram:-100:1');
    const other = await api.sendByPlace({ channel, thread: '2', text: '/deploy@bot now' }, { wait: '20s' });
    expect(other.body).toMatchObject({ decision: 'refused', reason: 'already_running' });
    const free = await api.sendByPlace({ channel, thread: '2', text: 'how is it going?' }, { wait: '20s' });
    expect(free.body).toMatchObject({ decision: 'handled' });
    agent.letGo('telegram:-100:1');
  });
});

describe('without a guard', () => {
  it('a message with a task waits (closed), every other one runs; it runs when a guard is there', async () => {
    await using agent = await startAgent((_call, response) => answerJson(response, { replies: ['ok'] }));
    const settings = { guard: { answerWithinMs: 200 } };
    await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings });
    const { api } = cluster;
    await api.send('s', { id: 'm', text: 'x', task: 'deploy' });
    await until('its turn is put off', async () => (await api.session('s')).state === 'retrying');
    expect((await api.send('t', { id: 'n', text: 'x' }, { wait: '20s' })).body).toMatchObject({ decision: 'handled' });
    expect(agent.calls).toHaveLength(1);
    await cluster.startGuard();
    const [turn] = (await api.decided('s', 1)).filter(({ kind }) => kind === 'turn');
    // Being put off cost no attempt.
    expect(turn).toMatchObject({ status: 'succeeded', attempt: 1, messages: [{ id: 'm', decision: 'handled' }] });
  });

  it('it runs unguarded where that was chosen (open)', async () => {
    await using agent = await startAgent((_call, response) => answerJson(response, { replies: ['ok'] }));
    const settings = { guard: { answerWithinMs: 200, whenUnavailable: 'open' } };
    await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings });
    const answer = await cluster.api.send('s', { id: 'm', text: 'x', task: 'deploy' }, { wait: '20s' });
    expect(answer.body).toMatchObject({ decision: 'handled' });
    expect(agent.calls[0]?.task).toBeUndefined();
  });
});

async function depthIs({ api }: Cluster, session: string, depth: number): Promise<void> {
  await until(`${depth} messages wait`, async () => {
    const { body } = await api.get(api.path(session));
    return body.depth === depth;
  });
}
