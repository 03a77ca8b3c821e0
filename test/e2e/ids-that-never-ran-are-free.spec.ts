import type { ServerResponse } from 'node:http';
import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { answerJson, startAgent } from '../support/recording-agent.js';
import { startUpWith } from '../support/up-with-settings.js';

/** What a turn never had may be sent again under its id at once; what one had stays a duplicate. */

afterEach(expectNothingLeft);

const WAIT = { wait: '20s' };

/** Answers each message but those named `hang`; they wait until `release`. */
async function startHangingAgent() {
  const hanging: ServerResponse[] = [];
  const agent = await startAgent((call, response) => {
    if (call.messages.some(({ id }) => id.startsWith('hang'))) hanging.push(response);
    else answerJson(response, { replies: call.messages.map(({ id }) => ({ text: id })) });
  });
  const release = (): void => {
    for (const response of hanging.splice(0)) answerJson(response, { replies: [{ text: 'released' }] });
  };
  return { agent, release };
}

it('a message that was dropped as the session was busy runs when it is sent again, once, however many send it at once', async () => {
  const { agent, release } = await startHangingAgent();
  await using _agent = agent;
  await using up = await startUpWith({ agents: { main: { url: agent.url, strategy: 'drop', busyMessage: 'again?' } } });
  const { api } = up;
  const hang = api.send('s', { id: 'hang', text: 'x' }, WAIT);
  await agent.call(1);
  const dropped = await api.send('s', { id: 'm', text: 'x' }, WAIT);
  expect(dropped.body).toMatchObject({ decision: 'dropped', duplicate: false, replies: [{ text: 'again?' }] });
  // It is still busy: each try is a new one, and says so.
  const meanwhile = await api.send('s', { id: 'm', text: 'x' }, WAIT);
  expect(meanwhile.body).toMatchObject({ decision: 'dropped', duplicate: false });
  release();
  await hang;

  const many = await Promise.all(Array.from({ length: 20 }, () => api.send('s', { id: 'm', text: 'y' }, WAIT)));
  expect(new Set(many.map(({ body }) => body.seq)).size).toBe(1);
  expect(many.filter(({ body }) => !body.duplicate)).toHaveLength(1);
  expect(many[0]?.body).toMatchObject({ decision: 'handled' });
  expect(agent.calls.map(({ messages }) => messages.map(({ id }) => id))).toEqual([['hang'], ['m']]);
  // It has run: from here on it is a duplicate, and another body is a mistake.
  expect((await api.send('s', { id: 'm', text: 'y' })).body).toMatchObject({ duplicate: true, seq: many[0]?.body.seq });
  expect(await api.send('s', { id: 'm', text: 'z' })).toMatchObject({ body: { code: 'idempotency-mismatch' } });
});

it('one that was cancelled before it ran runs again, with its number behind higher ones as a late one; one that ran does not', async () => {
  const { agent, release } = await startHangingAgent();
  await using _agent = agent;
  await using up = await startUpWith({ agents: { main: { url: agent.url } } });
  const { api } = up;
  const cancel = (id: string) =>
    fetch(`${api.path('s')}/messages/${id}/cancel?wait=20s`, { method: 'POST' }).then(({ status }) => status);
  await api.send('s', { id: 'hang', text: 'x', sequence: 0 });
  await agent.call(1);
  await api.send('s', { id: 'm', text: 'x', sequence: 1 });
  await api.send('s', { id: 'n', text: 'x', sequence: 2 });
  expect(await cancel('m')).toBe(200);
  release();
  await agent.call(2);

  const again = await api.send('s', { id: 'm', text: 'x', sequence: 1 }, WAIT);
  expect(again.body).toMatchObject({ duplicate: false, decision: 'handled', reason: 'late-sequence' });
  const calls = agent.calls.map(({ messages }) => messages.map(({ id, late }) => [id, late]));
  expect(calls).toEqual([[['hang', undefined]], [['n', undefined]], [['m', true]]]);

  await api.send('s', { id: 'hang-too', text: 'x' });
  await agent.call(4);
  expect(await cancel('hang-too')).toBe(200);
  expect((await api.send('s', { id: 'hang-too', text: 'x' }, WAIT)).body).toMatchObject({
    ...{ duplicate: true, decision: 'cancelled' },
  });
  release();
  expect(agent.calls).toHaveLength(4);
});

it('one that expired runs when it is sent again; the broker knows the second one for as long as if it were the first', async () => {
  const { agent, release } = await startHangingAgent();
  await using _agent = agent;
  await using up = await startUpWith({
    agents: { main: { url: agent.url, queueTimeoutMs: 500 } },
    dedup: { windowMs: 3_000 },
  });
  const { api } = up;
  await api.send('s', { id: 'hang', text: 'x' });
  await agent.call(1);
  const firstAt = performance.now();
  expect((await api.send('s', { id: 'm', text: 'x' }, WAIT)).body).toMatchObject({ decision: 'expired' });
  release();
  await until('its id was stored a while ago', () => performance.now() - firstAt > 1_500);
  const second = await api.send('s', { id: 'm', text: 'x' }, WAIT);
  expect(second.body).toMatchObject({ duplicate: false, decision: 'handled' });
  // The broker has forgotten the first one by then, and must not take this for a new message.
  await until('the window of the first one is over', () => performance.now() - firstAt > 3_500);
  expect((await api.send('s', { id: 'm', text: 'x' })).body).toMatchObject({ duplicate: true, seq: second.body.seq });
  expect(agent.calls).toHaveLength(2);
});
