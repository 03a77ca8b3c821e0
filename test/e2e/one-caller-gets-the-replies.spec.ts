import type { ServerResponse } from 'node:http';
import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft } from '#testing';
import { startUp } from '../support/lanekeeper-up.js';
import { answerJson, startAgent } from '../support/recording-agent.js';

/** A turn says its replies once, however many messages it answers: a bot that posts what it is told posts them once. */

afterEach(expectNothingLeft);

it('of callers that wait for one turn the latest one gets its replies, the others are told which message that is', async () => {
  const hanging: ServerResponse[] = [];
  await using agent = await startAgent((call, response) => {
    if (call.message.id === 'hang') hanging.push(response);
    else answerJson(response, { replies: [{ text: 'both of you' }] });
  });
  await using up = await startUp({ LANEKEEPER_AGENT_URL: agent.url });
  const { api } = up;
  const send = (id: string, query = '') => api.send('s', { id, text: id }, { wait: `20s${query}` });
  const hang = send('hang');
  await agent.call(1);
  const callers = [];
  for (const [id, query] of [['a'], ['asks', '&replies=all'], ['b']] as [string, string?][]) {
    callers.push(send(id, query));
    // One after the other, so that the last one is the latest.
    await expect.poll(async () => (await api.message('s', id)).status).toBe(200);
  }
  for (const response of hanging) answerJson(response, { replies: [{ text: 'released' }] });
  expect((await hang).body).toMatchObject({ replies: [{ text: 'released' }] });

  const [a, asks, b] = (await Promise.all(callers)).map(({ body }) => body);
  const replies = [{ text: 'both of you' }];
  expect(b).toMatchObject({ messageId: 'b', decision: 'handled', replies });
  expect(b).not.toHaveProperty('answeredWith');
  expect(a).toMatchObject({ decision: 'handled', runId: b.runId, answeredWith: 'b', replies: [] });
  expect(asks).toMatchObject({ runId: b.runId, answeredWith: 'b', replies });

  // A bot that died before it posted asks again, by the message's route or with the message itself.
  expect((await api.message('s', 'b')).body).toMatchObject({ disposition: 'decided', runId: b.runId, replies });
  expect((await api.message('s', 'a')).body).toMatchObject({ disposition: 'decided', answeredWith: 'b', replies: [] });
  expect((await api.get(`${api.path('s')}/messages/a?replies=all`)).body).toMatchObject({ answeredWith: 'b', replies });
  expect((await send('b')).body).toMatchObject({ duplicate: true, runId: b.runId, replies });
  expect(agent.calls).toHaveLength(2);

  const wrong = await send('c', '&replies=mine');
  expect(wrong).toMatchObject({
    status: 400,
    body: { errors: [{ field: 'replies', found: '"mine"', wanted: 'all' }] },
  });
});

it('where the agent ends the latest message dead, the latest of the others gets them; the log says which one is dead', async () => {
  const hanging: ServerResponse[] = [];
  const messages = [{ id: 'b', decision: 'failed', error: { name: 'no_such_order', message: 'SECRET' } }];
  await using agent = await startAgent((call, response) => {
    if (call.message.id === 'hang') hanging.push(response);
    else answerJson(response, { replies: [{ text: 'done' }], messages });
  });
  await using up = await startUp({ LANEKEEPER_AGENT_URL: agent.url });
  const { api } = up;
  const send = (id: string) => api.send('s', { id, text: id }, { wait: '20s' });
  const hang = send('hang');
  await agent.call(1);
  const callers = [];
  for (const id of ['a', 'b']) {
    callers.push(send(id));
    await expect.poll(async () => (await api.message('s', id)).status).toBe(200);
  }
  for (const response of hanging) answerJson(response, {});
  await hang;
  const [a, b] = (await Promise.all(callers)).map(({ body }) => body);
  expect(a).toMatchObject({ decision: 'handled', replies: [{ text: 'done' }] });
  expect(b).toMatchObject({ decision: 'dead', reason: 'no_such_order', answeredWith: 'a', replies: [] });
  const lines = () =>
    up.service
      .output()
      .split('\n')
      .filter((line) => line.includes('message ended dead'));
  await expect.poll(lines).toHaveLength(1);
  expect(lines()[0]).toMatch(/"messageId":"b".*"no_such_order"/);
  expect(up.service.output()).not.toContain('SECRET');
});
