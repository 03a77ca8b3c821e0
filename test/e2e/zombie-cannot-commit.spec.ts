import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { startCluster } from '../support/cluster.js';
import { answerJson, startAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

it('a worker that was stopped beyond its time and goes on: one record, its result discarded and counted, its turn dead (L1, L4)', async () => {
  const answers: (() => void)[] = [];
  await using agent = await startAgent((_call, response, count) => {
    answers.push(() => answerJson(response, { replies: [{ text: `call ${count}` }] }));
  });
  await using cluster = await startCluster(['a', 'b'], { agentUrl: agent.url });
  const { api } = cluster;
  const session = await cluster.sessionOf('a');
  await api.send(session, { id: 'm1', text: 'hello' });
  const first = await agent.call(1);

  cluster.of('a').signal('SIGSTOP');
  const second = await agent.call(2);
  expect([first.attempt, second.attempt]).toEqual([1, 2]);
  expect(second.runId).toBe(first.runId);
  expect(second.raw.replace(/"(attempt|deadline)":[^,]*/g, '')).toBe(
    first.raw.replace(/"(attempt|deadline)":[^,]*/g, ''),
  );
  // What comes in meanwhile is served by who took over.
  await api.send(session, { id: 'm2', text: 'later' });
  answers[1]?.();
  await agent.call(3);
  answers[2]?.();
  const records = await api.decided(session, 2);

  cluster.of('a').signal('SIGCONT');
  // Its `Turn` is dead: the call that it still has open is closed.
  await first.closed;
  const back = await until('its result is counted as discarded', async () =>
    (await cluster.listed()).find(({ worker, discarded }) => worker === 'a' && discarded > 0),
  );
  expect(back.discarded).toBe(1);
  expect(agent.calls).toHaveLength(3);
  expect(await api.decided(session, 2)).toEqual(records);
  const turns = records.filter(({ kind }) => kind === 'turn');
  expect(turns.map(({ messages, attempt }) => [messages.map(({ id }) => id), attempt])).toEqual([
    [['m1'], 2],
    [['m2'], 1],
  ]);
  expect(turns.every(({ worker }) => String(worker).startsWith('b/'))).toBe(true);
  // It is a member like any other again.
  await cluster.balanced('a', 'b');
});

it('a zombie that answers in the very moment in which it goes on is refused by the compare-and-set (L4)', async () => {
  const answers: (() => void)[] = [];
  await using agent = await startAgent((_call, response) => {
    answers.push(() => answerJson(response, { replies: [{ text: 'done' }] }));
  });
  await using cluster = await startCluster(['a', 'b'], { agentUrl: agent.url });
  const { api } = cluster;
  const session = await cluster.sessionOf('a');
  await api.send(session, { id: 'm1', text: 'hello' });
  await agent.call(1);
  cluster.of('a').signal('SIGSTOP');
  await agent.call(2);
  // Its answer lies in its socket when it wakes up: it may commit before it looks at its membership.
  answers[0]?.();
  cluster.of('a').signal('SIGCONT');
  await until('its result is counted as discarded', async () =>
    (await cluster.listed()).some(({ worker, discarded }) => worker === 'a' && discarded === 1),
  );
  answers[1]?.();
  const turns = (await api.decided(session, 1)).filter(({ kind }) => kind === 'turn');
  expect(turns).toMatchObject([{ attempt: 2, status: 'succeeded', messages: [{ id: 'm1' }] }]);
});
