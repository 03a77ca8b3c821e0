import type { FastifyReply } from 'fastify';

/** For who does not wait: a signal of its own would be aborted at the end of every single request. */
const NEVER = new AbortController().signal;

/** Aborts when the caller hangs up, so that nobody waits on its behalf. */
export function goneSignal(reply: FastifyReply, waitMs: number | undefined): AbortSignal {
  if (waitMs === undefined) return NEVER;
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  return gone.signal;
}
