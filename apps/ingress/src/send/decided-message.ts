import type { Decision, TurnRecord } from '#contracts';
import type { StoredRecord } from '../sessions/session-history.client.js';

/** What a record says of one of its messages. */
export interface DecidedMessage {
  readonly seq: number;
  readonly decision: Decision;
  readonly reason?: string;
  /** The turn that it was part of. */
  readonly turn?: TurnRecord;
  /** The message of its turn that the turn's replies are for, when it is another one: the latest that did not end dead. */
  readonly answeredWith?: string;
  /** What its sender is told; of a turn everything that it says, whichever of its messages that is for. */
  readonly replies: readonly { readonly text?: string; readonly data?: unknown }[];
}

/** Never handed to a handler: a turn's record that decides such a message says nothing to its sender. */
const BESIDE_EVERY_TURN: ReadonlySet<Decision> = new Set(['dropped', 'expired', 'refused', 'rejected', 'duplicate']);

/**
 * A turn answers all messages that it took, also one that it only had as `skipped`, or whose place a later one took. It says
 * its replies once, though, with the latest of them: two senders that both post what they are told would post it twice. What
 * a note sends is for single messages.
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
  // A run that did not get its task was about this message alone, and says why.
  if (decision === 'refused' && record.status === 'rejected') return { ...told, replies: record.sends.map(toReply) };
  if (BESIDE_EVERY_TURN.has(decision)) return { ...told, replies: [] };
  const taken = record.messages.filter((candidate) => !BESIDE_EVERY_TURN.has(candidate.decision));
  // What the agent ended dead by itself is told of no success: its sender may well post nothing.
  const latest = taken.findLast((candidate) => candidate.decision !== 'dead') ?? taken.at(-1);
  const answeredWith = latest === undefined || latest.seq === seq ? {} : { answeredWith: latest.id };
  return { ...told, turn: record, ...answeredWith, replies: record.sends.map(toReply) };
}

/** The replies as a sender is told them: once per turn, unless all that it says is asked for. */
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
