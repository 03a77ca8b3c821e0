import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { startCluster } from '../support/cluster.js';
import { expectSerial } from '../support/history-check.js';
import { answerJson, startAgent, type AgentCall } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

/** Opened once; who waits for it goes on then. */
function makeGate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

const idsOf = ({ messages }: AgentCall): string[] => messages.map(({ id }) => id);

it('channel scope: of three threads at once none is lost, and each is answered in its own (L1, L2)', async () => {
  const gate = makeGate();
  let running = 0;
  let mostAtOnce = 0;
  await using agent = await startAgent(async (call, response, count) => {
    mostAtOnce = Math.max(mostAtOnce, ++running);
    if (count === 1) await gate.opened;
    // A turn beside this one would have come by the time that the broker has answered for it.
    await cluster.api.session(session);
    running--;
    answerJson(response, { replies: [`${call.message.thread}: ${idsOf(call).join(' ')}`] });
  });
  await using cluster = await startCluster(['a', 'b'], { agentUrl: agent.url });
  const { api } = cluster;
  const channel = 'whatsapp:group-1';
  const session = channel;
  const threads = ['one', 'two', 'three'].map((name) => `${channel}:${name}`);
  // Each thread says one thing after another, all threads at once; the first turn waits until all of it is stored.
  const answers = threads.flatMap((thread) =>
    [1, 2, 3].map(async (n) => {
      const id = `${thread}.${n}`;
      if (n > 1)
        await until(`${thread}.${n - 1} is stored`, () => api.message(session, `${thread}.${n - 1}`).then(isFound));
      const wait = '30s&replies=all';
      return { id, thread, answer: await api.sendByPlace({ id, channel, thread, text: `${n}` }, { wait }) };
    }),
  );
  await until('all of it is stored', async () => {
    const { depth, running: turn } = await api.session(session);
    return depth + (turn?.seqs.length ?? 0) === answers.length;
  });
  gate.open();
  for (const { id, thread, answer } of await Promise.all(answers)) {
    expect(answer).toMatchObject({ status: 200, body: { session, decision: 'handled', status: 'succeeded' } });
    const [{ text }] = answer.body.replies;
    expect(text.startsWith(`${thread}: `)).toBe(true);
    expect(text.slice(`${thread}: `.length).split(' ')).toContain(id);
  }
  for (const call of agent.calls) {
    expect(call.session).toBe(session);
    expect(new Set(call.messages.map(({ channel, thread }) => `${channel} ${thread}`)).size).toBe(1);
  }
  for (const thread of threads) {
    const ids = agent.calls.flatMap(idsOf).filter((id) => id.startsWith(`${thread}.`));
    expect(ids).toEqual([1, 2, 3].map((n) => `${thread}.${n}`));
  }
  expect(mostAtOnce).toBe(1);
  expectSerial(await api.decided(session, answers.length));
});

it('thread scope, that of a forum on Telegram: topic B does not wait for topic A (L5)', async () => {
  const gate = makeGate();
  await using agent = await startAgent(async (call, response) => {
    if (call.message.thread === 'telegram:-100:a') await gate.opened;
    answerJson(response, { replies: [`to ${call.session}`] });
  });
  await using cluster = await startCluster(['a'], { agentUrl: agent.url });
  const { api } = cluster;
  const say = (thread: string) =>
    api.sendByPlace({ channel: 'telegram:-100', thread, text: 'x', id: `of ${thread}` }, { wait: '30s' });
  const answerOfA = say('telegram:-100:a');
  await agent.call(1);
  expect((await say('telegram:-100:b')).body).toMatchObject({
    ...{ session: 'telegram:-100:b', status: 'succeeded' },
    replies: [{ text: 'to telegram:-100:b' }],
  });
  expect((await api.message('telegram:-100:a', 'of telegram:-100:a')).body).toMatchObject({ disposition: 'running' });
  gate.open();
  expect((await answerOfA).body).toMatchObject({ replies: [{ text: 'to telegram:-100:a' }] });
});

it('a message by its place is the same as one to its session: sent again it is a duplicate, in either way', async () => {
  await using cluster = await startCluster(['a']);
  const { api } = cluster;
  const body = { id: 'm1', channel: 'slack:C1', thread: '1718.99', text: 'x' };
  const first = await api.sendByPlace(body, { wait: '30s' });
  expect(first).toMatchObject({ status: 200, body: { session: 'slack:C1:1718.99', duplicate: false } });
  const { session, seq, runId } = first.body;
  expect((await api.sendByPlace(body)).body).toEqual({ session, messageId: 'm1', seq, duplicate: true });
  expect(await api.send(session, body, { wait: '30s' })).toMatchObject({ body: { seq, runId, duplicate: true } });
  const changed = await api.sendByPlace({ ...body, text: 'y' });
  expect(changed).toMatchObject({ status: 422, body: { code: 'idempotency-mismatch' } });
  expect(await api.turns(session)).toHaveLength(1);
});

const isFound = ({ status }: { readonly status: number }): boolean => status === 200;
