import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { LanekeeperError, RetryLaterError, TerminalError } from '#contracts';
import { applyAnswer } from '../handler-answer.js';
import { AgentConnections, callHttpAgent } from './http-agent.client.js';
import { makeTurn, startAgent, type Answer } from './http-agent.fixture.js';

const JSON_TYPE = { 'content-type': 'application/json' };
const STREAM_TYPE = { 'content-type': 'text/event-stream' };
const TEXT_TYPE = { 'content-type': 'text/plain' };
const MIB = 1024 * 1024;

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function agent(answer: Answer, maxConnections?: number) {
  const started = await startAgent(answer, maxConnections);
  closers.push(started.close);
  return started;
}

/** An agent that gives each request the same answer. */
const agentOf = (status: number, headers: Record<string, string>, body: string | Buffer = '') =>
  agent((response) => response.writeHead(status, headers).end(body));

/** What the turn has when the answer was put into it, as the worker does it. */
async function finished(call: Promise<unknown>): Promise<unknown> {
  const turn = makeTurn();
  applyAnswer(turn, await call);
  return turn.finish();
}

/** Writes without end, as fast as it is taken; `written` says how much went out. */
function pour(response: ServerResponse, chunk: Buffer): { written: number } {
  const count = { written: 0 };
  const write = (): void => {
    while (!response.destroyed) {
      count.written += chunk.length;
      if (!response.write(chunk)) return;
    }
  };
  response.on('drain', write);
  write();
  return count;
}

const text = (value: string) => ({ kind: 'reply', text: value });
const unreachable = expect.objectContaining({
  code: 'agent_unreachable',
  message: expect.stringMatching(/is it up, and is its url right\?$/),
});

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

  it('of many turns one after another keeps its connection, whatever they are answered', async () => {
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
    // A second one is opened when the next call comes before the first has said that it is free.
    expect(sockets.size).toBeLessThanOrEqual(2);
  });

  it('of hundreds of turns at once get each its own answer, over no more connections than are allowed', async () => {
    const held: (() => void)[] = [];
    let most = 0;
    const { call, sockets } = await agent((response, _request, body) => {
      const { runId } = JSON.parse(body) as { runId: string };
      held.push(() => response.writeHead(200, JSON_TYPE).end(JSON.stringify({ replies: [runId] })));
      most = Math.max(most, held.length);
      // The first answer goes out when as many are asked as may be at once.
      if (most === 300) for (const release of held.splice(0)) release();
    }, 300);
    const ids = Array.from({ length: 600 }, (_, i) => `run-${i}`);
    const answers = await Promise.all(ids.map((runId) => call(makeTurn({ runId }))));
    expect(answers).toEqual(ids.map((runId) => ({ replies: [runId] })));
    expect([sockets.size, most]).toEqual([300, 300]);
  });
});

describe('an answer', () => {
  it.each<[string, number, Record<string, string>, string, object]>([
    [
      'JSON',
      200,
      JSON_TYPE,
      '{"replies":["a",{"text":"b"},{"data":[1]}],"state":{"n":1}}',
      { replies: [text('a'), text('b'), { kind: 'reply', data: [1] }], state: { value: { n: 1 } } },
    ],
    [
      'JSON with a charset and a BOM',
      200,
      { 'content-type': 'Application/JSON; charset=utf-8' },
      '\uFEFF{"replies":["grüße 🙂"]}',
      { replies: [text('grüße 🙂')] },
    ],
    ['an empty object', 200, JSON_TYPE, '{}', { replies: [] }],
    ['JSON with status 201', 201, JSON_TYPE, '{"replies":["a"]}', { replies: [text('a')] }],
    ['text', 200, { 'content-type': 'text/plain; charset=utf-8' }, 'grüße\n', { replies: [text('grüße\n')] }],
    ['204', 204, {}, '', { replies: [] }],
    ['an empty 200', 200, {}, '', { replies: [] }],
    ['an empty 200 of JSON', 200, JSON_TYPE, '', { replies: [] }],
    [
      'an event stream',
      200,
      STREAM_TYPE,
      'event: delta\ndata: {"text":"hi"}\n\nevent: done\ndata: {"state":1}\n\n',
      { replies: [text('hi')], state: { value: 1 } },
    ],
    [
      'an event stream with BOM and CRLF',
      200,
      { 'content-type': 'text/event-stream;charset=utf-8' },
      '\uFEFFevent: reply\r\ndata: {"text":"hi"}\r\n\r\nevent: done\r\ndata:\r\n\r\n',
      { replies: [text('hi')] },
    ],
  ])('is read: %s', async (_title, status, headers, body, expected) => {
    const { call } = await agentOf(status, headers, body);
    expect(await finished(call())).toEqual(expected);
  });

  it.each([
    [JSON_TYPE, '{"replies":["grüße 🙂"]}'],
    [STREAM_TYPE, 'event: delta\ndata: {"text":"grüße 🙂"}\n\nevent: done\ndata: {}\n\n'],
  ])('is read when it comes byte by byte: %j', async (type, body) => {
    const { call } = await agent((response) => {
      response.writeHead(200, type);
      const bytes = [...Buffer.from(body)];
      const next = (): void => {
        const byte = bytes.shift();
        if (byte === undefined) response.end();
        // The reader has its turn between two bytes, or it would be given them joined.
        else response.write(Uint8Array.of(byte), () => setImmediate(() => setImmediate(next)));
      };
      next();
    });
    expect(await finished(call())).toEqual({ replies: [text('grüße 🙂')] });
  });

  it('of one mebibyte is read', async () => {
    const reply = 'x'.repeat(MIB - '{"replies":[""]}'.length);
    const { call } = await agentOf(200, JSON_TYPE, JSON.stringify({ replies: [reply] }));
    expect(await call()).toEqual({ replies: [reply] });
  });

  it('is complete with `done`, though the agent keeps the stream open: the connection is closed', async () => {
    const closed = Promise.withResolvers<void>();
    const { call } = await agent((response) => {
      response.on('close', closed.resolve);
      response.writeHead(200, STREAM_TYPE).write('event: done\ndata: {"replies":["a"]}\n\n');
    });
    expect(await call()).toEqual({ replies: ['a'] });
    await closed.promise;
  });

  it.each<[string, Record<string, string>, string | Buffer, RegExp]>([
    ['JSON that is none', JSON_TYPE, '{"replies":["SECRET"', /found application\/json that is no JSON; wanted/],
    ['JSON that is a text', JSON_TYPE, '"SECRET"', /found application\/json that is no object; wanted/],
    ['JSON that is a list', JSON_TYPE, '["SECRET"]', /found application\/json that is no object; wanted/],
    ['JSON that is null', JSON_TYPE, 'null', /found application\/json that is no object; wanted/],
    ['replies of a wrong type', JSON_TYPE, '{"replies":"SECRET"}', /found replies: .*; wanted/],
    ['a reply of a wrong type', JSON_TYPE, '{"replies":[{"text":5}]}', /found replies\.0.*; wanted/],
    ['an unknown field', JSON_TYPE, '{"reply":"SECRET"}', /found .*; wanted/],
    ['another type', { 'content-type': 'text/html' }, '<p>SECRET</p>', /found content type "text\/html"; wanted/],
    ['no type', {}, 'SECRET', /found content type none; wanted/],
    [
      'invalid UTF-8 in JSON',
      JSON_TYPE,
      Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]),
      /found a body that is no UTF-8; wanted/,
    ],
    [
      'a character that breaks off',
      TEXT_TYPE,
      Buffer.from([0x61, 0xe2, 0x82]),
      /found a body that is no UTF-8; wanted/,
    ],
    [
      'invalid UTF-8 in a stream',
      STREAM_TYPE,
      Buffer.from([0x3a, 0xc3, 0x28, 0x0a]),
      /found a body that is no UTF-8; wanted/,
    ],
    [
      'a stream that ends without done',
      STREAM_TYPE,
      'event: delta\ndata: {"text":"SECRET"}\n\n',
      /ended without the event `done`; wanted/,
    ],
    ['a stream with broken data', STREAM_TYPE, 'event: reply\ndata: SECRET\n\n', /found an event `reply` .*; wanted/],
  ])('L6 is refused, naming what was found and wanted: %s', async (_title, headers, body, message) => {
    const { call } = await agentOf(200, headers, body);
    const error = await finished(call()).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'bad_answer', message: expect.stringMatching(message) });
    expect(error).not.toBeInstanceOf(TerminalError);
    expect((error as Error).message).not.toContain('SECRET');
  });

  it.each([JSON_TYPE, TEXT_TYPE, STREAM_TYPE])(
    'L6 without end is refused at the bound, and not read on: %j',
    async (type) => {
      const closed = Promise.withResolvers<void>();
      let count = { written: 0 };
      const { call } = await agent((response) => {
        response.on('close', closed.resolve);
        response.writeHead(200, type);
        count = pour(response, Buffer.from(`: ${'x'.repeat(16_382)}\n`));
      });
      await expect(call()).rejects.toThrow(
        expect.objectContaining({
          code: 'bad_answer',
          message: expect.stringMatching(/more than 1048576 bytes .*refer/),
        }),
      );
      await closed.promise;
      expect(count.written).toBeGreaterThan(MIB);
    },
  );

  it('L6 of 2 MiB is refused too, without a look at its rest', async () => {
    const closed = Promise.withResolvers<boolean>();
    const { call } = await agent((response) => {
      response.on('close', () => closed.resolve(response.writableFinished));
      response.writeHead(200, { ...JSON_TYPE, 'content-length': String(2 * MIB) });
      // Its second half never comes: who waits for it waits for ever.
      response.write(Buffer.alloc(MIB + 1, 'x'));
    });
    await expect(call()).rejects.toThrow(expect.objectContaining({ code: 'bad_answer' }));
    expect(await closed.promise).toBe(false);
  });
});

describe('an abort', () => {
  /** Resolves when the agent has the request, and when it sees its connection close. */
  async function slowAgent(begin: (response: ServerResponse) => void) {
    const asked = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    const { call } = await agent((response) => {
      response.on('close', closed.resolve);
      begin(response);
      asked.resolve();
    });
    return { call, asked: asked.promise, closed: closed.promise };
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
    await expect(call(makeTurn({ signal: controller.signal }))).rejects.toThrow(unreachable);
    await closed.promise;
    expect(pieces).toBeGreaterThanOrEqual(20);
  });

  it('that came before the call makes no request', async () => {
    const { call, requests } = await agentOf(204, {});
    await expect(call(makeTurn({ signal: AbortSignal.abort() }))).rejects.toThrow(unreachable);
    expect(requests).toEqual([]);
  });

  it('L6 closing the connections ends what is on its way', async () => {
    const { call, asked, closed } = await slowAgent(() => {});
    const answer = call().catch((error: unknown) => error);
    await asked;
    await closers.pop()?.();
    expect(await answer).toMatchObject({ code: 'agent_unreachable' });
    await closed;
  });
});

describe('a failure', () => {
  it('L6 in the middle of the body is tried again', async () => {
    for (const type of [JSON_TYPE, STREAM_TYPE]) {
      const { call } = await agent((response) => {
        response.writeHead(200, type);
        response.write('event: delta\ndata: {"text":"a"}\n\n', () => response.socket?.resetAndDestroy());
      });
      const error = await call().catch((caught: unknown) => caught);
      expect(error).toEqual(unreachable);
      expect(error).not.toBeInstanceOf(TerminalError);
    }
  });

  it('L6 before the headers is tried again, by the turn and not beneath it', async () => {
    const { call, requests } = await agent((response) => response.socket?.resetAndDestroy());
    await expect(call()).rejects.toThrow(unreachable);
    expect(requests.length).toBe(1);
  });

  it('L6 to connect is tried again, and says so', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    server.close();
    await once(server, 'close');
    const connections = new AgentConnections(1);
    closers.push(() => connections.close());
    const url = `http://127.0.0.1:${port}/SECRET`;
    const error = await callHttpAgent(makeTurn(), { url }, connections).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      code: 'agent_unreachable',
      message: expect.stringMatching(/^(?!.*SECRET).*\(ECONNREFUSED\)/),
    });
  });

  it.each<[number, Record<string, string>, number]>([
    [429, { 'retry-after': '7' }, 7_000],
    [429, {}, 5_000],
    [503, { 'retry-after': '2' }, 2_000],
    [503, {}, 5_000],
  ])('%i with %j asks for later, in %i ms', async (status, headers, retryAfterMs) => {
    const { call } = await agentOf(status, headers, 'busy');
    const error = await call().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(RetryLaterError);
    expect(error).toMatchObject({ retryAfterMs });
  });

  it.each<[number, string, boolean]>([
    [400, 'agent_refused', true],
    [404, 'agent_refused', true],
    [500, 'agent_failed', false],
    [502, 'agent_failed', false],
  ])('%i is %s (terminal: %s)', async (status, code, isTerminal) => {
    const { call } = await agentOf(status, JSON_TYPE, '{"replies":["SECRET"]}');
    const error = await call().catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code, message: expect.not.stringContaining('SECRET') });
    expect(error instanceof TerminalError).toBe(isTerminal);
  });

  it.each([301, 302, 303, 307, 308])('%i is not followed, and terminal', async (status) => {
    const elsewhere = await agentOf(200, JSON_TYPE, '{"replies":["followed"]}');
    const { call } = await agentOf(status, { location: elsewhere.url });
    await expect(call()).rejects.toThrow(expect.objectContaining({ code: 'agent_redirect' }));
    expect(elsewhere.requests).toEqual([]);
  });

  it('L6 with a refusal that does not end is what its status says all the same', async () => {
    const closed = Promise.withResolvers<void>();
    const { call } = await agent((response) => {
      response.on('close', closed.resolve);
      response.writeHead(429, { ...TEXT_TYPE, 'retry-after': '7' }).write('busy');
    });
    await expect(call()).rejects.toThrow(expect.objectContaining({ code: 'retry_later', retryAfterMs: 7_000 }));
    await closed.promise;
  });

  it('L6 with a refusal of any length does not wait for its end', async () => {
    const { call } = await agent((response) => {
      response.writeHead(500, TEXT_TYPE);
      pour(response, Buffer.alloc(16_384, 'x'));
    });
    await expect(call()).rejects.toThrow(expect.objectContaining({ code: 'agent_failed' }));
  });
});
