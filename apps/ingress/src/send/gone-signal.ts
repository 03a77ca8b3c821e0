import type { FastifyReply } from 'fastify';

/** For callers that do not wait: a signal of their own would be aborted at the end of every request. */
const NEVER = new AbortController().signal;

/** Aborts when the caller hangs up, so that the wait on its behalf ends. */
export function goneSignal(reply: FastifyReply, waitMs: number | undefined): AbortSignal {
  if (waitMs === undefined) return NEVER;
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  return gone.signal;
}
