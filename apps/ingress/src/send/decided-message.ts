import type { Decision, TurnRecord } from '#contracts';
import type { StoredRecord } from '../sessions/session-history.client.js';

/** What a record says of one of its messages. */
export interface DecidedMessage {
  readonly seq: number;
  readonly decision: Decision;
  readonly reason?: string;
  /** The turn that it was part of. */
  readonly turn?: TurnRecord;
  /** Id of the message that has the replies of the turn, when it is another one: the latest that did not end dead. */
  readonly answeredWith?: string;
  /** The replies to its sender; for a turn all its replies, whichever of its messages has them. */
  readonly replies: readonly { readonly text?: string; readonly data?: unknown }[];
}

/** Decisions of messages that no handler was given: a turn that decides such a message does not answer its sender. */
const BESIDE_EVERY_TURN: ReadonlySet<Decision> = new Set(['dropped', 'expired', 'refused', 'rejected', 'duplicate']);

/**
 * A turn answers all messages that it took, also a `skipped` one, or one that a later message superseded. Its replies are told
 * once, with the latest of them: two senders that both post what they are told would post it twice. What a note sends is for
 * single messages.
 */
export function readDecision({ record }: StoredRecord, wanted: { seq: number } | { id: string }): DecidedMessage {
  const message = record.messages.find(({ seq, id }) => ('seq' in wanted ? seq === wanted.seq : id === wanted.id));
  if (message === undefined) throw new Error('the record was looked up by this message');
  const { seq, decision, reason } = message;
  const told = { seq, decision, ...(reason === undefined ? {} : { reason }) };
  if (record.kind === 'note') {
    const sends = record.sends?.filter((send) => send.seq === seq) ?? [];
    return { ...told, replies: sends.map(toReply) };
  }
  // A run that did not get its task was about this message alone; its record says why.
  if (decision === 'refused' && record.status === 'rejected') return { ...told, replies: record.sends.map(toReply) };
  if (BESIDE_EVERY_TURN.has(decision)) return { ...told, replies: [] };
  const taken = record.messages.filter((candidate) => !BESIDE_EVERY_TURN.has(candidate.decision));
  // The sender of a message that the agent ended dead is told of no success: it may well post nothing.
  const latest = taken.findLast((candidate) => candidate.decision !== 'dead') ?? taken.at(-1);
  const answeredWith = latest === undefined || latest.seq === seq ? {} : { answeredWith: latest.id };
  return { ...told, turn: record, ...answeredWith, replies: record.sends.map(toReply) };
}

/** The replies as a sender gets them: once per turn, unless it asks for all replies of the turn. */
export function repliesFor(
  { answeredWith, replies }: DecidedMessage,
  isAllAsked: boolean,
): Pick<DecidedMessage, 'answeredWith' | 'replies'> {
  if (answeredWith === undefined) return { replies };
  return { answeredWith, replies: isAllAsked ? replies : [] };
}

function toReply({ text, data }: { readonly text?: string | undefined; readonly data?: unknown }) {
  return { ...(text === undefined ? {} : { text }), ...(data === undefined ? {} : { data }) };
}
