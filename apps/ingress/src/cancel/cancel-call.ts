import { hash, randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { readTrace } from '#http';
import type { TraceContext } from '#telemetry';
import { goneSignal } from '../send/gone-signal.js';
import { readMessageId, readWait } from '../session-route-fields.js';

/** A request to cancel, without its target. */
export interface CancelCall {
  /** Id of the control message that is stored for it. */
  readonly id: string;
  /** The caller gave the cancel a key: this may be a repetition of one that is stored. */
  readonly isNamed: boolean;
  readonly trace: TraceContext | undefined;
  readonly waitMs: number | undefined;
  readonly gone: AbortSignal;
}

export function readCancelCall(request: FastifyRequest, reply: FastifyReply): CancelCall {
  const { headers, query } = request;
  const waitMs = readWait((query as { wait?: unknown }).wait);
  const idempotencyKey = readMessageId(undefined, headers['idempotency-key']);
  return {
    id: makeCancelId(idempotencyKey),
    isNamed: idempotencyKey !== undefined,
    trace: readTrace(headers),
    waitMs,
    gone: goneSignal(reply, waitMs),
  };
}

const HASH_CHARS = 22;

/**
 * The same key gives the same id, so that a repetition is stored once. The id holds a hash of the key: a key may be as long as
 * an id, and many callers use the id of the message that they cancel.
 */
export function makeCancelId(idempotencyKey?: string): string {
  if (idempotencyKey === undefined) return `cancel:${randomUUID()}`;
  return `cancel:${hash('sha256', idempotencyKey, 'base64url').slice(0, HASH_CHARS)}`;
}
