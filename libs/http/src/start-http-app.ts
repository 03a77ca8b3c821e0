import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { Settings } from '#config';
import { LanekeeperError } from '#contracts';
import { NestLogger } from '#telemetry';
import { serveDirectly, type DirectRoute } from './direct-route.provider.js';
import { HttpAppModule, type HttpAppParts } from './http-app.module.js';
import { LeanAdapter } from './lean-adapter.server.js';
import { carryJson } from './json-body.js';
import { answerParserError } from './parser-errors.js';
import { inputProblem, type Problem } from './problem.exception.js';
import { sendProblem, toProblem } from './problem.filter.js';
import { headProblem } from './request-head.js';
import { originProblem } from './request-origin.js';

export interface HttpAppOptions extends HttpAppParts {
  readonly settings: Pick<Settings, 'http' | 'drainMs'>;
  /** Routes that are served without Nest's part of a request, because they are called so often. */
  readonly directRoutes?: readonly DirectRoute[];
  /** Where the role listens unless `http.port` says otherwise. */
  readonly defaultPort: number;
  /** Title of the API in its OpenAPI document. */
  readonly title: string;
  readonly description: string;
}

export interface RunningHttpApp {
  /** Where it listens, e.g. `http://127.0.0.1:7070`. */
  readonly url: string;
  /** Takes no further requests and lets those under way end, for a short time. */
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 1024 * 1024;
/** How long requests under way may take to end at a stop. A role that lets requests wait ends these waits first. */
const CLOSE_GRACE_MS = 3_000;
/** How long a request may take to arrive as a whole: a slow sender holds a connection, and memory, for no longer. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Above any encoded session key (1,536 characters), so that our own check refuses longer ones and names the field. */
const MAX_PARAM_CHARS = 8_192;

/** Serves the routes of a role; resolves when it listens. The caller closes what the routes need. */
export async function startHttpApp(options: HttpAppOptions): Promise<RunningHttpApp> {
  const { settings, log, directRoutes = [] } = options;
  // Nest's parsers would also accept form bodies, which none of our routes reads.
  const app = await NestFactory.create<NestFastifyApplication>(HttpAppModule.register(options), makeAdapter(), {
    logger: new NestLogger(log),
    abortOnError: false,
    bodyParser: false,
  });
  try {
    const fastify = app.getHttpAdapter().getInstance();
    carryJson(fastify);
    fastify.addHook('onRequest', refuseAtTheDoor);
    serveDirectly(app, directRoutes);
    serveOpenApi(app, options);
    await listen(app, settings.http.host, settings.http.port ?? options.defaultPort);
    return {
      url: (await app.getUrl()).replace('[::1]', 'localhost'),
      close: () => closeWithin(app, Math.min(settings.drainMs, CLOSE_GRACE_MS)),
    };
  } catch (error) {
    await app.close().catch(() => {});
    throw error;
  }
}

function makeAdapter(): LeanAdapter {
  return new LeanAdapter({
    bodyLimit: MAX_BODY_BYTES,
    routerOptions: { maxParamLength: MAX_PARAM_CHARS },
    requestTimeout: REQUEST_TIMEOUT_MS,
    clientErrorHandler: answerParserError,
    // Node answers a request without a Host with an empty body; our own check names the header.
    http: { requireHostHeader: false },
    // Idle keep-alive connections of clients must not hold up a stop.
    forceCloseConnections: 'idle',
    // The router's own errors (malformed percent-encoding) come before any filter.
    frameworkErrors: (error: FastifyError, _request: FastifyRequest, reply: FastifyReply) =>
      sendProblem(reply, toProblem(error)),
  });
}

function refuseAtTheDoor(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const problem = doorProblem(request);
  if (problem === undefined) done();
  else sendProblem(reply, problem);
}

/** Why a request is refused before its route is looked up; `undefined` = it is accepted. */
function doorProblem(request: FastifyRequest): Problem | undefined {
  const { host, origin } = request.headers;
  if (host === undefined) {
    const detail = 'Host: found none, wanted localhost or a loopback address';
    return { status: 400, code: 'invalid-request', title: 'The request names no host', detail };
  }
  const detail = originProblem(host, origin);
  if (detail !== undefined) return { status: 403, code: 'forbidden-origin', title: 'Not from here', detail };
  const problem = headProblem(request);
  return problem === undefined ? undefined : inputProblem(400, [problem]).problem;
}

function serveOpenApi(app: NestFastifyApplication, { title, description }: HttpAppOptions): void {
  const config = new DocumentBuilder().setTitle(title).setDescription(description).setVersion('1').build();
  const document = SwaggerModule.createDocument(app, config);
  SwaggerModule.setup('openapi', app, document, { ui: false, raw: ['json'], jsonDocumentUrl: 'openapi.json' });
}

/**
 * Node does not count a connection as idle that has sent no request, or only half of one. It would hold up the close for ever;
 * a browser that opens connections in advance is enough.
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
