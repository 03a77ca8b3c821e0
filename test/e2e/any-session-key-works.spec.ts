import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft } from '#testing';
import { startUp } from '../support/lanekeeper-up.js';

afterEach(expectNothingLeft);

const KEYS = [
  'telegram:-100:42',
  'a.b.c',
  'a=2Eb=2Ec',
  'a b',
  'a+b',
  'a%20b',
  '*',
  '>',
  '$SYS.>',
  'a/b',
  '../a',
  '👩‍🚀',
  'é',
  'e\u0301',
  'E',
  'e',
  'x'.repeat(512),
  '🙂'.repeat(128),
  'line\nbreak',
  '\u0000',
  ' ',
  'messages',
];

it('a key of dots, stars, spaces, emoji or 512 bytes works and stays apart from its look-alikes', async () => {
  await using up = await startUp();
  for (const [i, key] of KEYS.entries()) {
    const answer = await up.api.send(key, { id: 'same-id', text: `for ${i}` }, { wait: '20s' });
    expect([key, answer.status, answer.body.duplicate]).toEqual([key, 200, false]);
    expect(answer.body.replies).toEqual([{ text: `for ${i}` }]);
  }
  for (const [i, key] of KEYS.entries()) {
    const turns = await up.api.turns(key);
    expect(turns.map(({ sends }) => sends)).toEqual([[{ kind: 'reply', text: `for ${i}` }]]);
    expect(await up.api.session(key)).toMatchObject({ session: key, state: 'idle' });
  }
});

it.each(['.', '..'])('the key %j works for clients that send it as it is (a browser would resolve it)', async (key) => {
  await using up = await startUp();
  const { port } = new URL(up.api.url);
  const path = `/v1/agents/main/sessions/${key}/messages?wait=20s`;
  const sent = request({
    host: '127.0.0.1',
    port,
    path,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  sent.end('{"text": "dots"}');
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  expect(JSON.parse(await text(response))).toMatchObject({ replies: [{ text: 'dots' }] });
});

it('a key of 513 bytes, an empty one and broken percent-encoding are 400 and store nothing', async () => {
  await using up = await startUp();
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"text":"x"}' };
  for (const part of ['x'.repeat(513), encodeURIComponent('🙂'.repeat(129)), '%ff', '%e2%28%a1', '%zz']) {
    const response = await fetch(`${up.api.url}/v1/agents/main/sessions/${part}/messages`, post);
    expect([part, response.status]).toEqual([part, 400]);
    expect(response.headers.get('content-type')).toContain('application/problem+json');
  }
  const sent = await up.api.send('s', { text: 'x' });
  expect(sent.body.seq).toBe(1);
});
