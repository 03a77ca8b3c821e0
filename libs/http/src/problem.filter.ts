import {
  Catch,
  HttpException,
  ServiceUnavailableException,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '#telemetry';
import { brokerUnavailable, problemBody, ProblemException, type Problem } from './problem.exception.js';

interface CodedError {
  /** The code of our own errors. */
  readonly code?: unknown;
  readonly statusCode?: unknown;
  readonly message?: unknown;
}

/** Answers every error of a request with problem+json. Unexpected errors are logged, and answered without their details. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly log: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    this.answer(error, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>());
  }

  answer(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const problem = toProblem(error);
    if (problem.status >= 500 && problem.code === 'internal') {
      this.log.error({ error, method: request.method, route: request.routeOptions?.url }, 'request failed');
    }
    sendProblem(reply, problem);
  }
}

export function sendProblem(reply: FastifyReply, problem: Problem): void {
  if (reply.sent) return;
  if (problem.retryAfterS !== undefined) void reply.header('retry-after', String(problem.retryAfterS));
  void reply
    .status(problem.status)
    .header('content-type', 'application/problem+json')
    .send(JSON.stringify(problemBody(problem)));
}

/** Fastify's and Nest's own errors as our problems. */
export function toProblem(error: unknown): Problem {
  if (error instanceof ProblemException) return error.problem;
  const { code, statusCode, message } = (typeof error === 'object' && error !== null ? error : {}) as CodedError;
  if (code === 'broker_away') return brokerUnavailable('The broker did not answer').problem;
  if (error instanceof ServiceUnavailableException) return notReady(error);
  const status = error instanceof HttpException ? error.getStatus() : typeof statusCode === 'number' ? statusCode : 500;
  if (status >= 500) {
    return {
      status: 500,
      code: 'internal',
      title: 'Something went wrong here',
      detail: 'The cause is in the log of this service.',
    };
  }
  const known = KNOWN_STATUS[status];
  if (known !== undefined) return known;
  if (status === 404) {
    return { status, code: 'not-found', title: 'No such route', detail: 'GET /openapi.json lists the routes.' };
  }
  // The rest: bodies of another length than Content-Length says, and URLs that cannot be decoded. Fastify finds both first.
  const detail = `${String(message ?? 'no detail')}; wanted a body that is JSON and a percent-encoded path`;
  return { status, code: 'invalid-request', title: 'The request is not as wanted', detail };
}

/** A failed health check, with the findings of each part. */
function notReady(error: ServiceUnavailableException): Problem {
  const findings = error.getResponse();
  return {
    status: 503,
    code: 'not-ready',
    title: 'Requests cannot be taken now',
    detail: 'The parts that are down stand under error; what does not come back by itself says there what to do.',
    ...(typeof findings === 'object' ? { extra: { error: (findings as { error?: unknown }).error } } : {}),
  };
}

/** Nest keeps only the status of a request that Fastify refused. */
const KNOWN_STATUS: Readonly<Record<number, Problem>> = {
  413: {
    status: 413,
    code: 'too-large',
    title: 'The request is too large',
    detail: 'body: found more than 1 MiB, wanted at most 1 MiB; keep large content elsewhere and send its address',
  },
  415: {
    status: 415,
    code: 'unsupported-media-type',
    title: 'The body is no JSON',
    detail: 'Content-Type: found another or none, wanted application/json',
  },
};
