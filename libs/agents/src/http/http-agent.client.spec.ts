import { createHmac } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { LanekeeperError } from '#contracts';
import {
  agent,
  agentOf,
  closeAgents,
  cutAnswer,
  JSON_TYPE,
  makeTurn,
  noAnswer,
  STREAM_TYPE,
  TEXT_TYPE,
} from './http-agent.fixture.js';

afterEach(closeAgents);

describe('a request', () => {
  it('is a POST of the turn, with its headers, signed when there is a secret', async () => {
    const { call, requests } = await agentOf(204, {});
    const secret = 'a secret of sixteen';
    await call(makeTurn({ messages: [{ id: 'm', seq: 1, text: 'grüße' }] }), secret);
    const { request, body } = requests[0] ?? { body: '' };
    expect(request).toMatchObject({ method: 'POST', url: '/turn' });
    expect(request?.headers).toMatchObject({
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      'idempotency-key': 'r',
      'x-lanekeeper-signature': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
    });
    expect(JSON.parse(body)).toMatchObject({ runId: 'r', message: { text: 'grüße' } });
    await call();
    expect(requests[1]?.request.headers).not.toHaveProperty('x-lanekeeper-signature');
  });

  it('asks for plain bytes, and has the headers of the operator in addition to ours', async () => {
    const { call, requests } = await agentOf(204, {});
    await call(undefined, undefined, { headers: { authorization: 'Bearer t', 'x-team': 'a b' } });
    expect(requests[0]?.request.headers).toMatchObject({
      ...{ authorization: 'Bearer t', 'x-team': 'a b', 'accept-encoding': 'identity', 'idempotency-key': 'r' },
      accept: 'application/json, text/event-stream, text/plain',
    });
  });

  it('of many turns one after another keeps its connection, whatever the answers are', async () => {
    const answers: ((response: ServerResponse) => void)[] = [
      (response) => response.writeHead(200, JSON_TYPE).end('{"replies":["a"]}'),
      (response) => response.writeHead(204).end(),
      (response) => response.writeHead(200, TEXT_TYPE).end('text'),
      (response) => response.writeHead(500, TEXT_TYPE).end('x'.repeat(5_000)),
      (response) => response.writeHead(429, { 'retry-after': '1' }).end('busy'),
    ];
    let calls = 0;
    const { call, sockets } = await agent((response) => answers[calls++ % answers.length]?.(response));
    for (let i = 0; i < 50; i++) await call().catch(() => {});
    expect(calls).toBe(50);
    // A second connection is opened when the next call comes before the first one is free.
    expect(sockets.size).toBeLessThanOrEqual(2);
  });

  it('of hundreds of parallel turns each gets its own answer, over no more connections than allowed', async () => {
    const held: (() => void)[] = [];
    let most = 0;
    const { call, sockets } = await agent((response, _request, body) => {
      const { runId } = JSON.parse(body) as { runId: string };
      held.push(() => response.writeHead(200, JSON_TYPE).end(JSON.stringify({ replies: [runId] })));
      most = Math.max(most, held.length);
      // The first answer is sent when the maximum number of requests has arrived.
      if (most === 300) for (const release of held.splice(0)) release();
    }, 300);
    const ids = Array.from({ length: 600 }, (_, i) => `run-${i}`);
    const answers = await Promise.all(ids.map((runId) => call(makeTurn({ runId }))));
    expect(answers).toEqual(ids.map((runId) => ({ replies: [runId] })));
    expect([sockets.size, most]).toEqual([300, 300]);
  });
});

describe('an abort', () => {
  /** Resolves when the agent has the request, and when it sees its connection close. */
  async function slowAgent(begin: (response: ServerResponse) => void) {
    const asked = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    const { call, close } = await agent((response) => {
      response.on('close', closed.resolve);
      begin(response);
      asked.resolve();
    });
    return { call, close, asked: asked.promise, closed: closed.promise };
  }

  it.each<[string, (response: ServerResponse) => void]>([
    ['before the headers', () => {}],
    ['within a JSON answer', (response) => response.writeHead(200, JSON_TYPE).write('{"replies":')],
    [
      'within a stream',
      (response) => response.writeHead(200, STREAM_TYPE).write('event: delta\ndata: {"text":"a"}\n\n'),
    ],
    ['within a refusal', (response) => response.writeHead(500, TEXT_TYPE).write('drip')],
  ])('L6 closes the request, and the agent sees it: %s', async (_title, begin) => {
    const { call, asked, closed } = await slowAgent(begin);
    const controller = new AbortController();
    const answer = call(makeTurn({ signal: controller.signal })).catch((error: unknown) => error);
    await asked;
    controller.abort(new Error('over'));
    expect(await answer).toBeInstanceOf(LanekeeperError);
    await closed;
  });

  it('L6 ends a slow drip, piece by piece', async () => {
    const controller = new AbortController();
    const closed = Promise.withResolvers<void>();
    let pieces = 0;
    const { call } = await agent((response) => {
      response.on('close', closed.resolve);
      response.writeHead(200, STREAM_TYPE);
      const drip = (): void => {
        if (++pieces === 20) controller.abort();
        response.write(': still there\n\n', () => response.destroyed || setImmediate(drip));
      };
      drip();
    });
    await expect(call(makeTurn({ signal: controller.signal }))).rejects.toEqual(cutAnswer);
    await closed.promise;
    expect(pieces).toBeGreaterThanOrEqual(20);
  });

  it('that came before the call makes no request', async () => {
    const { call, requests } = await agentOf(204, {});
    await expect(call(makeTurn({ signal: AbortSignal.abort() }))).rejects.toEqual(noAnswer);
    expect(requests).toEqual([]);
  });

  it('L6 closing the connections ends open requests', async () => {
    const { call, close, asked, closed } = await slowAgent(() => {});
    const answer = call().catch((error: unknown) => error);
    await asked;
    await close();
    expect(await answer).toMatchObject({ code: 'agent_no_answer' });
    await closed;
  });
});
