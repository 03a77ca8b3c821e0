import { createHmac } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectNothingLeft, tempDir, type TempDir } from '#testing';
import { BAD_ANSWERS } from '../support/bad-answers.js';
import { startUp, type RunningUp } from '../support/lanekeeper-up.js';
import { answerJson, answerStatus, startAgent, type RecordingAgent } from '../support/recording-agent.js';

const SECRET = 'a secret of the operator';
const GOOD = 'good:';

let agent: RecordingAgent;
let dir: TempDir;
let up: RunningUp;

beforeAll(async () => {
  agent = await startAgent((call, response) => {
    const what = call.message.text ?? '';
    if (!what.startsWith(GOOD)) return BAD_ANSWERS.find(({ title }) => title === what)?.answer(response);
    switch (what.slice(GOOD.length)) {
      case 'json':
        return answerJson(response, {
          replies: ['plain', { text: 'rich', data: { n: 1 } }],
          state: { seen: call.state },
        });
      case 'text':
        response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
        return void response.end('a text ✓');
      case 'events':
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write('event: delta\ndata: {"text":"thinking "}\n\nevent: reply\ndata: {"text":"first"}\n\n');
        return void response.end('event: done\ndata: {"replies":["last"],"state":{"streamed":true}}\n\n');
      case 'gzip':
        response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
        return void response.end(gzipSync('{"replies": ["small"]}'));
      case 'continue':
        response.writeContinue();
        response.writeEarlyHints({ link: '</a>; rel=preload' });
        return answerJson(response, { replies: ['at last'] });
      case 'headers':
        response.writeHead(200, { 'content-type': 'text/plain', 'x-policy': 'x'.repeat(20_000) });
        return void response.end('much said');
      case 'deltas':
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write('event: delta\ndata: {"text":"word "}\n\n');
        return void response.end('event: delta\ndata: {"text":"by word"}\n\nevent: done\ndata: {}\n\n');
      default:
        return answerStatus(response, 204);
    }
  });
  dir = await tempDir('settings');
  const path = join(dir.path, 'lanekeeper.json');
  const main = {
    url: agent.url,
    secret: SECRET,
    maxAttempts: 2,
    backoffInitialMs: 10,
    turnTimeoutMs: 1_500,
    streamIdleMs: 300,
  };
  await writeFile(path, JSON.stringify({ agents: { main } }));
  up = await startUp({ LANEKEEPER_CONFIG: path });
});
afterAll(async () => {
  await up[Symbol.asyncDispose]();
  await agent[Symbol.asyncDispose]();
  await dir.remove();
  await expectNothingLeft();
});

describe('an agent over HTTP', () => {
  it('gets the whole turn, signed, with its run as idempotency key and the caller’s trace', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const body = {
      id: 'm1',
      text: `${GOOD}204`,
      author: { id: 'u1' },
      thread: 't1',
      data: [1],
      sentAt: '2026-11-21T00:00:00Z',
    };
    const answer = await up.api.send('contract', body, { wait: '20s', headers: { traceparent } });
    expect(answer.body).toMatchObject({ status: 'succeeded', replies: [] });
    const call = agent.calls.find(({ session }) => session === 'contract');
    expect(JSON.parse(call?.raw ?? '')).toEqual({
      runId: answer.body.runId,
      attempt: 1,
      agent: 'main',
      session: 'contract',
      message: { ...body, seq: answer.body.seq },
      messages: [{ ...body, seq: answer.body.seq }],
      skipped: [],
      state: null,
      deadline: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
    expect(call?.headers).toMatchObject({
      'content-type': 'application/json',
      'idempotency-key': answer.body.runId,
      'x-lanekeeper-signature': `sha256=${createHmac('sha256', SECRET)
        .update(call?.raw ?? '')
        .digest('hex')}`,
      traceparent,
    });
  });

  it.each([
    ['json', [{ text: 'plain' }, { text: 'rich', data: { n: 1 } }]],
    ['text', [{ text: 'a text ✓' }]],
    ['204', []],
    ['events', [{ text: 'first' }, { text: 'last' }]],
    ['deltas', [{ text: 'word by word' }]],
    ['gzip', [{ text: 'small' }]],
    ['continue', [{ text: 'at last' }]],
    ['headers', [{ text: 'much said' }]],
  ])('may answer with %s', async (kind, replies) => {
    const answer = await up.api.send(`good-${kind}`, { text: `${GOOD}${kind}` }, { wait: '20s' });
    expect(answer.body).toMatchObject({ status: 'succeeded', replies });
  });

  it('finds the state that it left', async () => {
    await up.api.send('state', { text: `${GOOD}json` }, { wait: '20s' });
    await up.api.send('state', { text: `${GOOD}json` }, { wait: '20s' });
    const states = agent.calls.filter(({ session }) => session === 'state').map(({ state }) => state);
    expect(states).toEqual([null, { seen: null }]);
  });
});

describe('a bad answer fails its turn, says why, and stops nothing (L6)', () => {
  it.each(BAD_ANSWERS.map((row) => [row.title, row] as const))(
    '%s',
    async (title, { status = 'failed', isTriedAgain, says }) => {
      const session = `bad ${title}`;
      const answer = await up.api.send(session, { id: 'bad', text: title }, { wait: '20s' });
      expect(answer).toMatchObject({ status: 200, body: { status, decision: 'dead', replies: [] } });
      expect(answer.body.error.message).toMatch(says);
      // An agent that answered has done its work: only where that is not known it is asked again.
      expect(agent.calls.filter((call) => call.session === session).length).toBe(isTriedAgain ? 2 : 1);
      const next = await up.api.send(session, { text: `${GOOD}text` }, { wait: '20s' });
      expect(next.body).toMatchObject({ status: 'succeeded' });
    },
  );
});
