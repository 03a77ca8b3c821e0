import {
  jsonText,
  writeJsonObject,
  type MessageDecision,
  type NoteReply,
  type Reply,
  MAX_RECORD_MESSAGES,
} from '#contracts';
import type { InboxItem } from '../backlog/inbox-item.js';

/** What a note decides without a turn, and what the senders are told. */
export interface DecisionNote {
  readonly messages: readonly MessageDecision[];
  readonly sends: readonly NoteReply[];
}

/** What senders are told stands in the record too: no more of it than a record holds beside all the rest. */
const MAX_SENDS_BYTES = 128 * 1024;

/** As many of these messages as fit into one record, at least one; a caller with more asks again when it stands. */
export function decisionNote(
  items: readonly InboxItem[],
  decisionOf: (item: InboxItem) => MessageDecision,
  replyOf: (item: InboxItem) => NoteReply | undefined,
): DecisionNote {
  const messages: MessageDecision[] = [];
  const sends: NoteReply[] = [];
  let bytes = 0;
  for (const item of items.slice(0, MAX_RECORD_MESSAGES)) {
    const reply = replyOf(item);
    bytes += reply === undefined ? 0 : Buffer.byteLength(writeJsonObject(reply));
    if (bytes > MAX_SENDS_BYTES && messages.length > 0) break;
    messages.push(decisionOf(item));
    if (reply !== undefined) sends.push(reply);
  }
  return { messages, sends };
}

/** Every sender gets an answer, unless the settings say that it gets none. */
export function noteReply(
  { seq, content, queueing }: InboxItem,
  said: Pick<Reply, 'text' | 'data'>,
): NoteReply | undefined {
  if (queueing.overflowAction === 'silent' || !content.ok || content.message.kind !== 'message') return undefined;
  const { thread, replyTo } = content.message;
  return {
    kind: 'reply',
    ...said,
    seq,
    ...(thread === undefined ? {} : { thread }),
    ...(replyTo === undefined ? {} : { replyTo }),
  };
}

/** Messages that get no turn: what is no message is rejected, and what does not get its task is refused. */
export function undeliverableNote(items: readonly InboxItem[]): DecisionNote {
  return decisionNote(items, barredDecision, (item) => {
    const { refusal } = item;
    if (refusal === undefined) return undefined;
    return noteReply(item, { text: refusal.text, data: jsonText(refusal.data) });
  });
}

function barredDecision({ id, seq, content, refusal }: InboxItem): MessageDecision {
  if (refusal !== undefined) return { id, seq, decision: 'refused', reason: refusal.reason };
  return { id, seq, decision: 'rejected', reason: content.ok ? 'unknown reason' : content.problem };
}
