import type { Type } from '@nestjs/common';
import {
  EXCEPTION_FILTERS_METADATA,
  GUARDS_METADATA,
  HEADERS_METADATA,
  HTTP_CODE_METADATA,
  INTERCEPTORS_METADATA,
  PIPES_METADATA,
  ROUTE_ARGS_METADATA,
} from '@nestjs/common/constants.js';
import { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import { ProblemFilter } from './problem.filter.js';

/**
 * A route that is called so often that it skips Nest's part of each request: guards, pipes, interceptors, filters, and the
 * promises that these cost also when there are none.
 */
export interface DirectRoute {
  readonly controller: Type<object>;
  /** The method of the controller that Nest would call. */
  readonly handler: string;
  readonly method: 'POST';
  /** The whole path, as Fastify writes it. */
  readonly url: string;
  /** Calls the handler as Nest would. */
  readonly call: Call;
}

type Call = (controller: object, request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

/** What Nest does besides the call. `@Header` counts too: `call` sets no header. */
const ENHANCERS = [
  GUARDS_METADATA,
  PIPES_METADATA,
  INTERCEPTORS_METADATA,
  EXCEPTION_FILTERS_METADATA,
  HEADERS_METADATA,
];

/**
 * Nest still registers the route: it stands in the OpenAPI document, and all hooks and middleware run before it. Only what
 * Fastify calls at last is exchanged, and only where Nest would run nothing but the handler. Call it before the
 * application is initialised, which is when the routes are registered.
 */
export function serveDirectly(app: NestFastifyApplication, routes: readonly DirectRoute[]): void {
  const filter = onlyEnhancer(app);
  if (filter === undefined) return;
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRoute', (options) => {
    const route = routes.find(({ method, url }) => method === options.method && url === options.url);
    if (route !== undefined) exchange(app, route, options, filter);
  });
}

function exchange(app: NestFastifyApplication, route: DirectRoute, options: RouteOptions, filter: ProblemFilter): void {
  const { controller: type, handler: name, call } = route;
  const controller = soleInstance(app, type);
  const handler = (type.prototype as Record<string, object>)[name];
  if (controller === undefined || handler === undefined || hasEnhancers(type) || hasEnhancers(handler)) return;
  if (hasParameterPipes(type, name)) return;
  const status = Reflect.getMetadata(HTTP_CODE_METADATA, handler) as number;
  const { handler: nests } = options;
  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    try {
      void reply.status(status);
      void reply.send(await call(controller, request, reply));
    } catch (error) {
      filter.answer(error, request, reply);
    }
  };
  options.handler = function (request, reply) {
    // Nest's adapter answers an empty part of the path with "no such route".
    if (hasEmptyPart(request.params)) return nests.call(this, request, reply);
    return answer(request, reply);
  };
}

/**
 * The filter that every app has, if Nest runs nothing else for all routes: a user's providers and other roles may bring more.
 */
function onlyEnhancer(app: NestFastifyApplication): ProblemFilter | undefined {
  // A private field. There is no other way to read what `APP_GUARD` and the like have registered.
  const { config } = app as unknown as { config?: unknown };
  if (!(config instanceof ApplicationConfig)) return undefined;
  const others = [
    config.getGlobalGuards(),
    config.getGlobalPipes(),
    config.getGlobalInterceptors(),
    config.getGlobalPreRequestHooks(),
    config.getGlobalRequestGuards(),
    config.getGlobalRequestPipes(),
    config.getGlobalRequestInterceptors(),
    config.getGlobalRequestFilters(),
  ];
  const [filter, ...filters] = config.getGlobalFilters();
  return others.flat().length === 0 && filters.length === 0 && filter instanceof ProblemFilter ? filter : undefined;
}

function hasEnhancers(target: object): boolean {
  return ENHANCERS.some((key) => Reflect.hasMetadata(key, target));
}

function hasParameterPipes(type: object, name: string): boolean {
  const parameters = (Reflect.getMetadata(ROUTE_ARGS_METADATA, type, name) ?? {}) as Record<
    string,
    { pipes?: unknown[] }
  >;
  return Object.values(parameters).some(({ pipes = [] }) => pipes.length > 0);
}

/** `undefined` when each request gets its own instance, because a dependency is made for each request. */
function soleInstance(app: NestFastifyApplication, type: Type<object>): object | undefined {
  for (const { controllers } of app.get(ModulesContainer).values()) {
    const wrapper = controllers.get(type);
    if (wrapper !== undefined) return wrapper.isDependencyTreeStatic() ? (wrapper.instance as object) : undefined;
  }
  return undefined;
}

function hasEmptyPart(params: unknown): boolean {
  for (const name in params as Record<string, string>) {
    if ((params as Record<string, string>)[name] === '') return true;
  }
  return false;
}
