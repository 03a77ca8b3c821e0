import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { Controller, Get, Module, Param, Query } from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLogger } from '#telemetry';
import { notFound } from './problem.exception.js';
import type { ReadinessParts } from './readiness.indicator.js';
import { readLimit } from './page-query.js';
import { startHttpApp, type RunningHttpApp } from './start-http-app.js';

@Controller('things')
class ThingsController {
  @Get()
  list(@Query('limit') limit: unknown): object {
    return { limit: readLimit(limit) };
  }

  @Get(':name')
  thing(@Param('name') name: string): object {
    if (name === 'broken') throw new Error('the inside');
    throw notFound('thing', `name: found ${name}, wanted another`);
  }
}

@Module({})
class ThingsModule {}

@Controller('others')
class OthersController {
  @Get()
  list(): object {
    throw notFound('other', 'there is none');
  }
}

@Module({})
class OthersModule {}

const routes = [
  { module: ThingsModule, controllers: [ThingsController] },
  { module: OthersModule, controllers: [OthersController] },
];

const answers = (): Promise<number> => Promise.resolve(1);
const fails = (): Promise<number> => Promise.reject(new Error('the broker left'));

type Start = Partial<ReadinessParts & { readonly port: number; readonly drainMs: number }>;

const running: RunningHttpApp[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
});

async function start({ port = 0, drainMs = 100, ...readiness }: Start = {}): Promise<RunningHttpApp> {
  const app = await startHttpApp({
    routes,
    readiness: { pulse: { isUp: true, roundTrip: answers }, ...readiness },
    settings: { http: { host: '127.0.0.1' }, drainMs },
    defaultPort: port,
    title: 'Things',
    description: 'All of them',
    log: silentLogger,
  });
  running.push(app);
  return app;
}

async function get(url: string, headers: Record<string, string> = {}) {
  const answer = await fetch(url, { headers });
  return { status: answer.status, type: answer.headers.get('content-type'), body: (await answer.json()) as object };
}

describe('the routes of a role', () => {
  it('are served, and told of', async () => {
    const { url } = await start();
    expect(await get(`${url}/things?limit=3`)).toMatchObject({ status: 200, body: { limit: 3 } });
    expect((await get(`${url}/openapi.json`)).body).toMatchObject({
      info: { title: 'Things', description: 'All of them' },
      paths: { '/things': {}, '/things/{name}': {} },
    });
  });

  it.each([
    ['a wrong field', '/things?limit=x', 400, 'invalid-request', /limit/],
    ['what is not there', '/things/none', 404, 'not-found', /name/],
    ['no route', '/nothing', 404, 'not-found', /openapi/],
    ['a path that is no text', '/things/%zz', 400, 'invalid-request', /percent-encoded/],
    ['what is not there among the routes of another role', '/others', 404, 'not-found', /there is none/],
    ['an unexpected error, without its details', '/things/broken', 500, 'internal', /^(?!.*the inside)/],
  ])('answer a problem for %s', async (_title, path, status, code, detail) => {
    const { url } = await start();
    expect(await get(`${url}${path}`)).toMatchObject({
      status,
      type: expect.stringMatching(/^application\/problem\+json/),
      body: { status, code, type: `urn:lanekeeper:problem:${code}`, detail: expect.stringMatching(detail) },
    });
  });

  it('are not for web pages', async () => {
    const { url } = await start();
    expect(await get(`${url}/things`, { origin: 'http://evil.example' })).toMatchObject({
      status: 403,
      body: { code: 'forbidden-origin' },
    });
  });
});

describe('health', () => {
  const up = { status: 'up' };

  it('is told with what it rests on', async () => {
    const { url } = await start({ needs: { inbox: { problem: undefined } } });
    expect(await get(`${url}/healthz`)).toMatchObject({ status: 200, body: { status: 'ok' } });
    const details = { broker: { ...up, rttMs: 1 }, inbox: up };
    expect(await get(`${url}/readyz`)).toMatchObject({ status: 200, body: { status: 'ok', details } });
  });

  it.each<[string, Start, object]>([
    ['a connection', { pulse: { isUp: false, roundTrip: answers } }, { broker: down('no connection') }],
    ['an answer', { pulse: { isUp: true, roundTrip: fails } }, { broker: down('no answer') }],
    ['what it needs besides', { needs: { inbox: { problem: 'rewound' } } }, { inbox: down('rewound') }],
  ])('lives and is not ready without %s', async (_title, parts, error) => {
    const { url } = await start(parts);
    expect((await get(`${url}/healthz`)).status).toBe(200);
    const ready = await get(`${url}/readyz`);
    expect(ready).toMatchObject({ status: 503, body: { code: 'not-ready' } });
    expect((ready.body as { error: object }).error).toEqual(error);
  });

  function down(message: string): object {
    return { status: 'down', message };
  }
});

it('says what to do about a port that is taken', async () => {
  const port = Number(new URL((await start()).url).port);
  await expect(start({ port })).rejects.toThrow(/http\.port.*EADDRINUSE.*LANEKEEPER_HTTP_PORT/s);
});

it('a connection that sends half a request does not hold up the close', async () => {
  const app = await start({ drainMs: 50 });
  const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
  socket.on('error', () => {});
  const gone = once(socket, 'close');
  await once(socket, 'connect');
  socket.write('GET /things HTTP/1.1\r\n');
  // The server has to have it before it closes; a whole request behind it shows that.
  await get(`${app.url}/things`);
  await app.close();
  await gone;
});

it.each([
  ['rubbish', 'rubbish\r\n\r\n', 400],
  ['no Host', 'GET /things HTTP/1.1\r\nconnection: close\r\n\r\n', 400],
  ['endless headers', `GET /things HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
])('what the parser of HTTP refuses is problem+json too: %s', async (_title, bytes, status) => {
  const app = await start();
  const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
  socket.on('error', () => {});
  socket.write(bytes);
  const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n');
  expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]*application/problem\\+json`));
  expect(JSON.parse(body)).toMatchObject({ status, detail: expect.stringContaining('wanted') });
});
