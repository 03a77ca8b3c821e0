import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { startCluster } from '../support/cluster.js';
import { answerJson, startAgent, type AgentCall } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

const COUNT = 150;
const TEXT = 'x'.repeat(8 * 1024);
/** Eight messages as they lie in the inbox, with room for the rest of their bodies. */
const EIGHT_MESSAGES_BYTES = 8 * 9 * 1024;

it('a worker keeps a few bodies of a long backlog, and each message is handled once and in order all the same', async () => {
  const { promise: isHeldUp, resolve: letGo } = Promise.withResolvers<void>();
  await using agent = await startAgent(async ({ session }, response) => {
    if (session === 'hot') await isHeldUp;
    answerJson(response, { replies: ['done'] });
  });
  await using cluster = await startCluster(['a', 'b'], {
    agentUrl: agent.url,
    settings: { agents: { main: { url: agent.url, laneBuffer: 8, maxQueueSize: 'unlimited' } } },
  });
  const { api } = cluster;
  // Each of a thread of its own, so that each is a turn of its own.
  for (let i = 1; i <= COUNT; i += 50) {
    await Promise.all(
      Array.from({ length: 50 }, (_, k) => api.send('hot', { id: `m${i + k}`, thread: `t${i + k}`, text: TEXT })),
    );
  }
  const depth = async (): Promise<number> => (await api.session('hot')).depth;
  await until('all of it has arrived', async () => (await depth()) === COUNT - 1);
  const bytes = async (): Promise<number[]> =>
    (await cluster.listed()).map(({ waitingBytes }) => waitingBytes).filter((some) => some > 0);
  await until('its worker says what it keeps', async () => (await bytes()).length === 1);
  expect((await bytes())[0]).toBeLessThan(EIGHT_MESSAGES_BYTES);
  expect((await cluster.listed()).reduce((sum, { lanes }) => sum + lanes, 0)).toBe(1);

  // An order reaches what is far behind as well.
  const last = await api.message('hot', `m${COUNT}`);
  expect(last.body).toMatchObject({ disposition: 'queued' });
  const { worker } = (await api.session('hot')) as { worker: string };
  const order = await fetch(`${api.path('hot')}/messages/m${COUNT}/cancel?wait=20s`, { method: 'POST' });
  expect(await order.json()).toMatchObject({ cancelled: [{ id: `m${COUNT}` }] });

  // What was not kept survives its worker too.
  await cluster.of(worker.split('/')[0] as string).killGroup9();
  letGo();
  const records = await api.decided('hot', COUNT + 1, 50_000);
  const handled = records.flatMap(({ messages }) => messages).filter(({ decision }) => decision === 'handled');
  const seqs = handled.map(({ seq }) => seq);
  // The order is decided as well, long before what waited when it came.
  const [orderSeq, ...ofMessages] = [seqs.find((seq) => seq > COUNT), ...seqs.filter((seq) => seq <= COUNT)];
  expect([orderSeq, ofMessages.length]).toEqual([COUNT + 1, COUNT - 1]);
  expect(ofMessages).toEqual(ofMessages.toSorted((x, y) => x - y));
  const runs = new Map<string, AgentCall[]>();
  for (const call of agent.calls) runs.set(call.runId, [...(runs.get(call.runId) ?? []), call]);
  expect([...runs.values()].filter((calls) => calls.length > 1).length).toBeLessThanOrEqual(1);
});
