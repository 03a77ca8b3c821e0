import { randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { BodyProblems, InboxMessage, SendMessageBody } from '#contracts';
import { acceptsJson, inputProblem, ProblemException, readTrace } from '#http';
import type { TraceContext } from '#telemetry';
import { goneSignal } from './gone-signal.js';
import { readMessageId, readReplies, readWait } from '../session-route-fields.js';

/** A request to send, without its path. */
export interface SendCall<Message extends InboxMessage = InboxMessage> {
  readonly message: Message;
  /** The id was made here, so no caller knows it: the message can only be a duplicate of our own unclear first try. */
  readonly isIdMade: boolean;
  readonly trace: TraceContext | undefined;
  readonly waitMs: number | undefined;
  /** The sender wants the replies of the turn also when another message has them. */
  readonly isAllAsked: boolean;
  readonly gone: AbortSignal;
}

type BodyCheck<Body> = (body: unknown) => { ok: true; body: Body } | ({ ok: false } & BodyProblems);

export function readSendCall<Body extends SendMessageBody>(
  request: FastifyRequest,
  reply: FastifyReply,
  check: BodyCheck<Body>,
): SendCall<InboxMessage & Omit<Body, 'id'>> {
  const { headers, query, body } = request;
  const { wait, replies } = query as { readonly wait?: unknown; readonly replies?: unknown };
  const waitMs = readWait(wait);
  const isAllAsked = readReplies(replies);
  if (!acceptsJson(headers.accept)) throw notAcceptable();
  const checked = check(body);
  if (!checked.ok) throw inputProblem(checked.tooLarge ? 413 : 422, checked.problems);
  const { id, ...content } = checked.body;
  const given = readMessageId(id, headers['idempotency-key']);
  return {
    message: { v: 1, kind: 'message', id: given ?? randomUUID(), ...content },
    isIdMade: given === undefined,
    trace: readTrace(headers),
    waitMs,
    isAllAsked,
    gone: goneSignal(reply, waitMs),
  };
}

function notAcceptable(): ProblemException {
  return new ProblemException({
    status: 406,
    code: 'not-acceptable',
    title: 'This answer is JSON',
    detail: 'Accept: wanted application/json or */*; event streams are not in this version yet',
  });
}
