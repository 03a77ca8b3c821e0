import { fastify } from 'fastify';
import { describe, expect, it } from 'vitest';
import { JsonText } from '#contracts';
import { carryJson } from './json-body.js';
import type { ProblemException } from './problem.exception.js';
import { headProblem } from './request-head.js';

function app() {
  const server = fastify();
  carryJson(server);
  server.setErrorHandler((error, _request, reply) => {
    const { status, detail } = (error as ProblemException).problem;
    return reply.status(status).send({ detail });
  });
  server.post('/', (request) => ({ got: request.body }));
  return server;
}

async function send(payload: string | Buffer, type = 'application/json') {
  const { statusCode, body } = await app().inject({
    method: 'POST',
    url: '/',
    payload,
    headers: { 'content-type': type },
  });
  return { status: statusCode, body };
}

describe('a body', () => {
  it.each<[string, string]>([
    ['{"text":"grün ✓"}', '{"got":{"text":"grün ✓"}}'],
    ['\ufeff{"text":"behind a byte order mark"}', '{"got":{"text":"behind a byte order mark"}}'],
    ['{"text":"\ufeffwithin"}', '{"got":{"text":"\ufeffwithin"}}'],
    ['{"data": {"10": 1.0, "2": 1e5 }}', '{"got":{"data":{"10":1.0,"2":1e5}}}'],
    ['{"meta":12345678901234567890,"other":1}', '{"got":{"meta":12345678901234567890,"other":1}}'],
  ])('%s comes as it was sent, and an answer with it too', async (payload, body) => {
    expect(await send(payload)).toEqual({ status: 200, body });
  });

  it.each(['application/json; charset=utf-8', 'application/json;charset=UTF8', 'application/json; charset="us-ascii"'])(
    'may say that it is %s',
    async (type) => expect((await send('{}', type)).status).toBe(200),
  );

  it.each<[string | Buffer, string, number, RegExp]>([
    [Buffer.from('{"text":"Gr\xfcn"}', 'latin1'), 'application/json', 400, /no UTF-8/],
    [Buffer.from([0xef, 0xbb, 0xbf]), 'application/json', 400, /no JSON/],
    ['\ufeff\ufeff{}', 'application/json', 400, /no JSON/],
    ['', 'application/json', 400, /body/],
    ['{}', 'application/json; charset=iso-8859-1', 415, /charset/],
    ['{}', 'application/json; charset=', 415, /charset/],
    ['{}', 'application/json; charset=utf-8; charset=latin1', 415, /charset/],
    ['{"a":1,"a":2}', 'application/json', 422, /^a: .*twice/],
  ])('%s of type %s is refused', async (payload, type, status, detail) => {
    const answer = await send(payload, type);
    expect([answer.status, (JSON.parse(answer.body) as { detail: string }).detail]).toEqual([
      status,
      expect.stringMatching(detail),
    ]);
  });

  it('has what is only carried as text', async () => {
    const server = fastify();
    carryJson(server);
    let got: unknown;
    server.post('/', (request) => {
      got = request.body;
      return 'ok';
    });
    await server.inject({
      method: 'POST',
      url: '/',
      payload: '{"data":[1.0],"text":"x"}',
      headers: { 'content-type': 'application/json' },
    });
    expect(got).toEqual({ data: new JsonText('[1.0]'), text: 'x' });
  });
});

describe('the head of a request', () => {
  const head = (url: string, ...rawHeaders: string[]) => headProblem({ raw: { url, rawHeaders } as never });

  it.each<[string, string[]]>([
    ['/v1/a%20b%FC?x=%C3%BC', []],
    ['/', ['Accept', 'a', 'accept', 'b', 'tracestate', 'a=1', 'tracestate', 'b=2']],
    ['/', ['X-Forwarded-For', 'grün', 'x-forwarded-for', 'x', 'Via', 'a', 'Via', 'b']],
    ['/', ['Idempotency-Key', 'visible ASCII \t!~', 'Content-Type', 'application/json']],
  ])('%s %j is taken', (url, headers) => expect(head(url, ...headers)).toBeUndefined());

  it.each<[string, string[], string, RegExp]>([
    ['/v1/sessions/\xfc', [], 'path', /ASCII/],
    ['/v1/dead?session=%ff', [], 'query', /UTF-8/],
    ['/', ['idempotency-key', 'gr\xfcn'], 'Idempotency-Key', /visible ASCII/],
    ['/', ['IDEMPOTENCY-KEY', 'a', 'Idempotency-Key', 'a'], 'Idempotency-Key', /twice/],
    ['/', ['Content-Type', 'a/b', 'X', 'y', 'content-type', 'a/b'], 'Content-Type', /twice/],
    ['/', ['traceparent', 'a\x7f'], 'traceparent', /visible ASCII/],
    ['/', ['traceparent', '00-a', 'traceparent', '00-b'], 'traceparent', /twice/],
    ['/', ['tracestate', 'a=\xfc'], 'tracestate', /visible ASCII/],
  ])('%j %j is not', (url, headers, field, found) => {
    expect(head(url, ...headers)).toMatchObject({ field, found: expect.stringMatching(found) });
  });
});
