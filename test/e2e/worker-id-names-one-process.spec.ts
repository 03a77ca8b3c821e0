import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, startService } from '#testing';
import { startCluster } from '../support/cluster.js';
import { answerJson, startAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

it('a worker that comes back under its id takes over from its former life at once, as another incarnation (L1, L3)', async () => {
  await using agent = await startAgent((_call, response, count) => {
    if (count > 1) answerJson(response, { replies: ['done'] });
  });
  // Longer than this test can wait.
  const membership = { ttlMs: 600_000, renewMs: 1_000 };
  await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings: { membership } });
  const [before] = await cluster.listed();
  await cluster.api.send('s', { id: 'm1', text: 'hello' });
  const first = await agent.call(1);
  await cluster.of('a').killGroup9();

  await cluster.start('a');
  const second = await agent.call(2);
  expect(second).toMatchObject({ runId: first.runId, attempt: 2 });
  const turns = (await cluster.api.decided('s', 1)).filter(({ kind }) => kind === 'turn');
  expect(turns).toMatchObject([{ attempt: 2, status: 'succeeded' }]);
  const [after] = await cluster.listed();
  expect(after).toMatchObject({ worker: 'a', shards: 64 });
  expect(after?.incarnation).not.toBe(before?.incarnation);
});

it('a second live process under one id is refused, and the first one goes on', async () => {
  await using cluster = await startCluster(['a']);
  const second = startService({
    args: ['worker'],
    cwd: cluster.folder,
    env: { ...cluster.env, LANEKEEPER_WORKER_ID: 'a' },
  });
  await expect(second).rejects.toThrow(/worker\.id: found a in use by a process that lives.*LANEKEEPER_WORKER_ID/);
  const answer = await cluster.api.send('s', { text: 'still here' }, { wait: '20s' });
  expect(answer.body).toMatchObject({ status: 'succeeded', replies: [{ text: 'still here' }] });
});

it('a process that was taken for dead and replaced under its id ends when it goes on, and says why', async () => {
  await using cluster = await startCluster(['a']);
  const former = cluster.of('a');
  former.signal('SIGSTOP');
  await cluster.start('a');
  former.signal('SIGCONT');
  expect((await former.exited).code).toBe(1);
  expect(former.output()).toMatch(/worker\.id: found a in use/);
  expect((await cluster.api.send('s', { text: 'x' }, { wait: '20s' })).body).toMatchObject({ status: 'succeeded' });
});
