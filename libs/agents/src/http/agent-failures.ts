import { LanekeeperError, RetryLaterError, type AgentFinding } from '#contracts';
import { AnswerError } from '../handler-answer.js';

/**
 * What a call without a complete answer means.
 *
 *   no connection, TLS included               later: the agent got nothing
 *   the connection accepted no byte           later: the same
 *   cut after that, before the answer         an attempt, and unclear: the agent may have begun and may still run
 *   an answer that breaks off, or that is     an attempt, and unclear
 *   silent for too long
 *   headers beyond the limit                  dead: it is an answer, and would be the same again
 */

/** There was no connection, so the agent got no byte of the request. */
export class NotConnectedError extends Error {
  override readonly name = 'NotConnectedError';
  readonly code: string;

  constructor(override readonly cause: unknown) {
    super('no connection');
    this.code = codeOf(cause);
  }
}

/** A send buffer accepts this much as a whole or not at all. So a write of this size that failed sent nothing. */
const WHOLE_WRITE_BYTES = 16 * 1024;

const UNCLEAR: AgentFinding = { isUnclear: true };

/** The call failed before the head of an answer arrived. */
export function failureOfCall(cause: unknown, requestBytes: number, maxHeaderBytes: number): LanekeeperError {
  const code = codeOf(cause);
  if (cause instanceof NotConnectedError || wroteNothing(cause, requestBytes)) {
    const message = `the agent cannot be reached (${code}): is it up, and is its url right?`;
    return new RetryLaterError({ retryAfterMs: 0, code: 'agent_unreachable', message, cause });
  }
  if (code === 'UND_ERR_HEADERS_OVERFLOW') return new AnswerError(`headers of more than ${maxHeaderBytes} bytes`);
  if (cause instanceof Error && cause.name === 'HTTPParserError') {
    const message = "the agent's answer is no HTTP/1.1: is its url right?";
    return new LanekeeperError('agent_no_answer', message, { cause, finding: UNCLEAR });
  }
  const message = `the agent did not answer: the connection was closed behind the request (${code})`;
  return new LanekeeperError('agent_no_answer', message, { cause, finding: UNCLEAR });
}

/** The answer had begun and broke off. */
export function answerCut(status: number, cause?: unknown): LanekeeperError {
  const message = `the agent's answer broke off (${cause === undefined ? 'it ended too early' : codeOf(cause)})`;
  return new LanekeeperError('agent_answer_cut', message, { cause, finding: { status, ...UNCLEAR } });
}

/**
 * Many servers end the body of a stream cleanly when its writer crashes. Only `done` proves that the stream is
 * complete.
 */
export function streamCut(): LanekeeperError {
  const message = "the agent's answer broke off: its event stream ended without the event `done`";
  return new LanekeeperError('agent_answer_cut', message, { finding: UNCLEAR });
}

export function streamIdle(status: number, streamIdleMs: number): LanekeeperError {
  const message =
    `the agent's stream was silent for ${streamIdleMs} ms (streamIdleMs): ` +
    'let it send a comment while it works, or raise the setting';
  return new LanekeeperError('stream_idle', message, { finding: { status, ...UNCLEAR } });
}

function wroteNothing(cause: unknown, requestBytes: number): boolean {
  return (cause as { syscall?: unknown } | null)?.syscall === 'write' && requestBytes <= WHOLE_WRITE_BYTES;
}

/** The error code. When several addresses were tried, that of the first. */
function codeOf(cause: unknown): string {
  const { code, errors } = (cause ?? {}) as { readonly code?: unknown; readonly errors?: readonly unknown[] };
  if (typeof code === 'string') return code;
  if (Array.isArray(errors) && errors.length > 0) return codeOf(errors[0]);
  return cause instanceof Error ? cause.name : 'unknown reason';
}
