import { HttpException } from '@nestjs/common';
import { describeProblem, type InputProblem } from '#contracts';

/** An error answer as RFC 9457 has it. `code` is the last part of `type`, for programs. */
export interface Problem {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  /** One per field that is wrong. */
  readonly errors?: readonly InputProblem[];
  readonly retryAfterS?: number;
  /** Further members, e.g. the id under which a request may be repeated. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

export class ProblemException extends HttpException {
  constructor(readonly problem: Problem) {
    super(problem.title, problem.status);
  }
}

/** The JSON body of a problem. */
export function problemBody({ status, code, title, detail, errors, extra }: Problem): Record<string, unknown> {
  return {
    type: `urn:lanekeeper:problem:${code}`,
    title,
    status,
    detail,
    code,
    ...(errors === undefined ? {} : { errors }),
    ...extra,
  };
}

export function inputProblem(status: 400 | 413 | 422, errors: readonly InputProblem[]): ProblemException {
  const title = status === 413 ? 'The request is too large' : 'The request is not as wanted';
  return new ProblemException({
    status,
    code: status === 413 ? 'too-large' : status === 422 ? 'invalid-body' : 'invalid-request',
    title,
    detail: errors.map(describeProblem).join('. '),
    errors,
  });
}

export function notFound(what: string, remedy: string): ProblemException {
  return new ProblemException({ status: 404, code: 'not-found', title: `No such ${what}`, detail: remedy });
}

const RETRY_AFTER_S = 2;

/** The broker is away or full. `messageId` lets the sender repeat the very same message. */
export function brokerUnavailable(why: string, messageId?: string): ProblemException {
  const again =
    messageId === undefined
      ? 'Try again later'
      : `Send it again with id ${JSON.stringify(messageId)}: it is stored once at most`;
  return new ProblemException({
    status: 503,
    code: 'broker-unavailable',
    title: 'The broker cannot take it now',
    detail: `${why}. ${again}.`,
    retryAfterS: RETRY_AFTER_S,
    ...(messageId === undefined ? {} : { extra: { messageId } }),
  });
}
