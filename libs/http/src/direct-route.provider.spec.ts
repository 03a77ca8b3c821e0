import {
  Controller,
  Header,
  HttpCode,
  Inject,
  Param,
  Post,
  Req,
  Res,
  Scope,
  UseGuards,
  type Provider,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLogger } from '#telemetry';
import type { DirectRoute } from './direct-route.provider.js';
import { notFound } from './problem.exception.js';
import { startHttpApp, type RunningHttpApp } from './start-http-app.js';

const WORD = Symbol('WORD');

@Controller('things/:name/parts')
class PartsController {
  constructor(@Inject(WORD) private readonly word: string) {}

  @Post()
  @HttpCode(202)
  async add(
    @Param('name') name: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<object> {
    if (name === 'none') throw notFound('thing', `name: found ${name}, wanted another`);
    if (name === 'broken') throw new Error('the inside');
    if (name === 'known') void reply.status(200);
    return { name, word: this.word, part: request.body };
  }
}

class No {
  canActivate(): boolean {
    return false;
  }
}

@Controller('things/:name/parts')
@UseGuards(No)
class GuardedController extends PartsController {}

class Shout {
  transform(value: string): string {
    return value.toUpperCase();
  }
}

@Controller('things/:name/parts')
class PipedController extends PartsController {
  @Post()
  @HttpCode(202)
  override add(
    @Param('name', Shout) name: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<object> {
    return super.add(name, request, reply);
  }
}

@Controller('things/:name/parts')
class HeaderController extends PartsController {
  @Post()
  @HttpCode(202)
  @Header('x-more', 'more')
  override add(
    @Param('name') name: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<object> {
    return super.add(name, request, reply);
  }
}

const word = { provide: WORD, useFactory: () => 'word' };

const running: RunningHttpApp[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
});

interface Started {
  readonly url: string;
  /** The names with which the route was called directly. */
  readonly direct: string[];
}

async function start(providers: readonly Provider[] = [word], controller = PartsController, isDirect = true) {
  const direct: string[] = [];
  const route: DirectRoute = {
    controller,
    handler: 'add',
    method: 'POST',
    url: '/things/:name/parts',
    call: (parts, request, reply) => {
      const { name } = request.params as { readonly name: string };
      direct.push(name);
      return (parts as PartsController).add(name, request, reply);
    },
  };
  class PartsModule {}
  const app = await startHttpApp({
    routes: [{ module: PartsModule, controllers: [controller], providers: [...providers] }],
    directRoutes: isDirect ? [route] : [],
    readiness: { pulse: { isUp: true, roundTrip: () => Promise.resolve(1) } },
    settings: { http: { host: '127.0.0.1' }, drainMs: 100 },
    defaultPort: 0,
    title: 'Things',
    description: 'All of them',
    log: silentLogger,
  });
  running.push(app);
  return { url: app.url, direct } satisfies Started;
}

async function post({ url }: Started, path: string, init: RequestInit = {}) {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}/${path}`, { method: 'POST', headers, body: '{"a":1}', ...init });
  const told = Object.fromEntries(answer.headers);
  delete told['date'];
  return { status: answer.status, headers: told, body: await answer.text() };
}

describe('a direct route', () => {
  it.each<[string, string, number, RequestInit, string[]]>([
    ['the status of its decorator', 'things/a/parts', 202, {}, ['a']],
    ['a status of its own', 'things/known/parts', 200, {}, ['known']],
    ['a problem', 'things/none/parts', 404, {}, ['none']],
    ['what was not foreseen, without its inside', 'things/broken/parts', 500, {}, ['broken']],
    ['an empty part of its path', 'things//parts', 404, {}, []],
    ['another method', 'things/a/parts', 404, { method: 'PUT' }, []],
    ['a body that is no JSON', 'things/a/parts', 400, { body: '{' }, []],
    ['a body of another type', 'things/a/parts', 415, { headers: { 'content-type': 'text/plain' } }, []],
    ['a body that is too large', 'things/a/parts', 413, { body: `"${'x'.repeat(1024 * 1024)}"` }, []],
    ['a web page', 'things/a/parts', 403, { headers: { origin: 'http://example.com' } }, []],
  ])('answers %s as Nest does', async (_title, path, status, init, called) => {
    const direct = await start();
    const answer = await post(direct, path, init);
    expect(answer.status).toBe(status);
    expect(answer).toEqual(await post(await start([word], PartsController, false), path, init));
    expect(direct.direct).toEqual(called);
  });

  it('stands in the OpenAPI document', async () => {
    const document = async ({ url }: Started): Promise<unknown> => (await fetch(`${url}/openapi.json`)).json();
    const told = await document(await start());
    expect(told).toMatchObject({ paths: { '/things/{name}/parts': { post: {} } } });
    expect(told).toEqual(await document(await start([word], PartsController, false)));
  });
});

const refuse = { canActivate: () => false };
const wrap = { intercept: (_context: unknown, next: { handle(): unknown }) => next.handle() };
const keep = { transform: (value: unknown) => value };
const swallow = { catch: (): void => {} };

describe('a route is left to Nest', () => {
  it.each<[string, Provider, number]>([
    ['a guard', { provide: APP_GUARD, useValue: refuse }, 403],
    ['a guard of each request', { provide: APP_GUARD, useFactory: () => refuse, scope: Scope.REQUEST }, 403],
    ['an interceptor', { provide: APP_INTERCEPTOR, useValue: wrap }, 202],
    ['a pipe', { provide: APP_PIPE, useValue: keep }, 202],
    ['a filter', { provide: APP_FILTER, useValue: swallow }, 202],
  ])('where %s is registered for all', async (_title, provider, status) => {
    const started = await start([word, provider]);
    expect(await post(started, 'things/a/parts')).toMatchObject({ status });
    expect(started.direct).toEqual([]);
  });

  it('where its controller has a guard', async () => {
    const started = await start([word], GuardedController);
    expect(await post(started, 'things/a/parts')).toMatchObject({ status: 403 });
    expect(started.direct).toEqual([]);
  });

  it('where a parameter of its handler has a pipe', async () => {
    const started = await start([word], PipedController);
    expect(JSON.parse((await post(started, 'things/a/parts')).body)).toMatchObject({ name: 'A' });
    expect(started.direct).toEqual([]);
  });

  it('where its handler has a header of its own', async () => {
    const started = await start([word], HeaderController);
    expect((await post(started, 'things/a/parts')).headers).toMatchObject({ 'x-more': 'more' });
    expect(started.direct).toEqual([]);
  });

  it('where its controller is made for each request', async () => {
    let made = 0;
    const counted = { provide: WORD, useFactory: () => `word ${++made}`, scope: Scope.REQUEST };
    const started = await start([counted]);
    await post(started, 'things/a/parts');
    expect(JSON.parse((await post(started, 'things/a/parts')).body)).toMatchObject({ word: 'word 2' });
    expect(started.direct).toEqual([]);
  });
});
