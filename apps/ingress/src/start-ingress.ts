import type { Provider } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { Settings } from '#config';
import { LanekeeperError, Names } from '#contracts';
import { NestLogger, type Logger } from '#telemetry';
import { openIngressBroker } from './ingress-broker.client.js';
import { IngressModule } from './ingress.module.js';
import { originProblem } from './request-origin.js';
import { sendProblem, toProblem } from './problem.filter.js';
import type { ScopeOf } from './session-choice.provider.js';

export interface StartIngressOptions {
  readonly settings: Settings;
  readonly natsUrl: string;
  readonly log: Logger;
  /** Providers of your own: a `LOCK_SCOPE_RESOLVER`, and whatever it needs. */
  readonly providers?: readonly Provider[];
  readonly signal?: AbortSignal;
}

export interface RunningIngress {
  /** Where it listens, e.g. `http://127.0.0.1:7070`. */
  readonly url: string;
  /** Resolves when it cannot go on by itself. */
  readonly failed: Promise<Error>;
  /** Takes no further requests, lets those under way end, then closes the connection. */
  stop(): Promise<void>;
}

const DEFAULT_PORT = 7070;
const MAX_BODY_BYTES = 1024 * 1024;
/** How long requests under way may take to end at a stop. No request waits for a turn then. */
const CLOSE_GRACE_MS = 3_000;
/** How long a request may take to arrive as a whole: a slow sender holds a connection, and memory, for no longer. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Above any encoded session key (1,536 characters), so that ours is the check that names the field. */
const MAX_PARAM_CHARS = 8_192;

/** Starts the ingress role; resolves when it listens. */
export async function startIngress(options: StartIngressOptions): Promise<RunningIngress> {
  const { settings, log, providers = [] } = options;
  const names = new Names(settings.namespace, settings.shards);
  const broker = await openIngressBroker({ ...options, names });
  let app: NestFastifyApplication | undefined;
  try {
    app = await NestFactory.create<NestFastifyApplication>(
      IngressModule.register({ ...broker, log, providers, scopeOf: configuredScope(settings) }),
      makeAdapter(),
      // Fastify's own JSON parser is kept: Nest's would also take form bodies, which no route of ours understands.
      { logger: new NestLogger(log), abortOnError: false, bodyParser: false },
    );
    const fastify = app.getHttpAdapter().getInstance();
    fastify.removeContentTypeParser('text/plain');
    fastify.addHook('onRequest', refuseWebPages);
    serveOpenApi(app);
    await listen(app, settings.http.host, settings.http.port ?? DEFAULT_PORT);
  } catch (error) {
    await app?.close().catch(() => {});
    await broker.close();
    throw error;
  }
  const running = app;
  const url = (await running.getUrl()).replace('[::1]', 'localhost');
  return {
    url,
    failed: broker.lost(),
    stop: async () => {
      broker.parts.waiter.stop();
      await closeWithin(running, Math.min(settings.drainMs, CLOSE_GRACE_MS));
      await broker.close();
    },
  };
}

/** What a platform's channels have of their own, else what the agent has. */
const configuredScope =
  ({ agents }: Settings): ScopeOf =>
  (agent, platform) =>
    (agents[agent]?.channels[platform] ?? agents[agent])?.lockScope;

function makeAdapter(): FastifyAdapter {
  return new FastifyAdapter({
    bodyLimit: MAX_BODY_BYTES,
    routerOptions: { maxParamLength: MAX_PARAM_CHARS },
    requestTimeout: REQUEST_TIMEOUT_MS,
    // Idle keep-alive connections of clients must not hold up a stop.
    forceCloseConnections: 'idle',
    // The router's own errors (malformed percent-encoding) come before any filter.
    frameworkErrors: (error: FastifyError, _request: FastifyRequest, reply: FastifyReply) =>
      sendProblem(reply, toProblem(error)),
  });
}

function refuseWebPages(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const detail = originProblem(request.headers.host, request.headers.origin);
  if (detail === undefined) return done();
  sendProblem(reply, { status: 403, code: 'forbidden-origin', title: 'Not from here', detail });
}

function serveOpenApi(app: NestFastifyApplication): void {
  const config = new DocumentBuilder()
    .setTitle('Lanekeeper')
    .setDescription('A durable turn broker for AI agents')
    .setVersion('1')
    .build();
  const document = SwaggerModule.createDocument(app, config);
  SwaggerModule.setup('openapi', app, document, { ui: false, raw: ['json'], jsonDocumentUrl: 'openapi.json' });
}

/**
 * A connection that never sent a request, or only half of one, is not idle for Node and would hold up the close for ever:
 * a browser that connects ahead is enough.
 */
async function closeWithin(app: NestFastifyApplication, graceMs: number): Promise<void> {
  const server = app.getHttpServer();
  const cut = setTimeout(() => server.closeAllConnections(), graceMs);
  try {
    await app.close();
  } finally {
    clearTimeout(cut);
  }
}

async function listen(app: NestFastifyApplication, host: string, port: number): Promise<void> {
  try {
    await app.listen(port, host);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'EADDRINUSE' && code !== 'EACCES' && code !== 'EADDRNOTAVAIL') throw error;
    throw new LanekeeperError(
      'cannot_listen',
      `http.port: cannot listen on ${host}:${port} (${code}); stop what listens there, or set LANEKEEPER_HTTP_PORT ` +
        '(0 = any free port)',
      { cause: error },
    );
  }
}
