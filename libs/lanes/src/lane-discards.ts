import type { MessageDecision, NoteReply, QueueSettings } from '#contracts';
import { overflowOf } from './full-queue.js';
import type { InboxItem } from './inbox-item.js';
import { MAX_RECORD_MESSAGES } from './lane-backlog.js';
import type { Lane } from './lane.js';

/** What has to go of what waits: the queue is too full, or it has waited too long. Asked again after each step. */
export type DiscardStep =
  | { readonly kind: 'note'; readonly messages: readonly MessageDecision[]; readonly sends: readonly NoteReply[] }
  /** What has to go was not kept: it has to be read again first. */
  | { readonly kind: 'read'; readonly seqs: readonly number[] };

/** What senders are told stands in the record too: no more of it than a record holds beside all the rest. */
const MAX_SENDS_BYTES = 128 * 1024;

/** `now`: ms since the epoch, `monotonicNow`: of a clock that never goes back. */
export function nextDiscardStep(lane: Lane, now: number, monotonicNow: number): DiscardStep | undefined {
  const { backlog } = lane;
  if (backlog.waiting.length === 0 && backlog.beyond.length === 0) return undefined;
  const reasons = reasonsToDiscard(lane, now, monotonicNow);
  if (reasons.size === 0) return undefined;
  const items = [...backlog.waiting, ...backlog.peeked].filter(({ seq }) => reasons.has(seq));
  if (items.length === 0) return { kind: 'read', seqs: [...reasons.keys()].slice(0, MAX_RECORD_MESSAGES) };
  return noteOf(items, reasons);
}

/** When the next message expires that waits now, ms since the epoch; undefined = none does. */
export function nextExpiryAt(lane: Lane, now: number, monotonicNow: number): number | undefined {
  let next = Number.POSITIVE_INFINITY;
  for (const item of lane.queued) {
    const { queueTimeoutMs, queueEntryTtlMs } = item.queueing;
    if (queueTimeoutMs !== undefined) next = Math.min(next, item.storedAtMs + queueTimeoutMs);
    if (lane.waitingClock.isRunning) next = Math.min(next, now + queueEntryTtlMs - lane.waitedMs(item, monotonicNow));
  }
  return next === Number.POSITIVE_INFINITY ? undefined : next;
}

function reasonsToDiscard(lane: Lane, now: number, monotonicNow: number): Map<number, string> {
  const reasons = new Map<number, string>();
  const { queued } = lane;
  for (const item of queued) {
    const reason = expiryOf(lane, item, now, monotonicNow);
    if (reason !== undefined) reasons.set(item.seq, reason);
  }
  const { ownQueueing, backlog } = lane;
  const entries = [
    ...queued.filter(({ seq }) => !reasons.has(seq)),
    ...backlog.beyond.map((seq) => ({ seq, queueing: ownQueueing })),
  ];
  if (!mayOverflow(entries.length, queued, ownQueueing)) return reasons;
  for (const { seq, reason } of overflowOf(entries, lane.isBusy)) reasons.set(seq, reason);
  return reasons;
}

/** Nearly always a queue is far from full, and a long one unlimited: neither is looked through. */
function mayOverflow(count: number, queued: readonly InboxItem[], own: QueueSettings): boolean {
  const limits = (queueing: QueueSettings): boolean => queueing.strategy === 'drop' || count > queueing.maxQueueSize;
  return limits(own) || queued.some(({ queueing }) => queueing !== own && limits(queueing));
}

function expiryOf(lane: Lane, item: InboxItem, now: number, monotonicNow: number): string | undefined {
  const { queueTimeoutMs, queueEntryTtlMs } = item.queueing;
  if (queueTimeoutMs !== undefined && item.storedAtMs + queueTimeoutMs <= now) return 'queue-timeout';
  return lane.waitedMs(item, monotonicNow) >= queueEntryTtlMs ? 'queue-entry-ttl' : undefined;
}

function noteOf(items: readonly InboxItem[], reasons: ReadonlyMap<number, string>): DiscardStep {
  const messages: MessageDecision[] = [];
  const sends: NoteReply[] = [];
  let bytes = 0;
  for (const item of items.slice(0, MAX_RECORD_MESSAGES)) {
    const reply = busyReplyTo(item);
    bytes += reply === undefined ? 0 : Buffer.byteLength(JSON.stringify(reply));
    if (bytes > MAX_SENDS_BYTES && messages.length > 0) break;
    messages.push(decisionOf(item, reasons.get(item.seq) ?? ''));
    if (reply !== undefined) sends.push(reply);
  }
  return { kind: 'note', messages, sends };
}

function decisionOf({ id, seq, content }: InboxItem, reason: string): MessageDecision {
  if (!content.ok) return { id, seq, decision: 'rejected', reason: content.problem };
  return { id, seq, decision: reason.startsWith('queue-full') || reason === 'busy' ? 'dropped' : 'expired', reason };
}

/** Nobody is left without an answer, unless that is what was asked for. */
function busyReplyTo({ seq, content, queueing }: InboxItem): NoteReply | undefined {
  if (queueing.overflowAction === 'silent' || !content.ok || content.message.kind !== 'message') return undefined;
  const { thread, replyTo } = content.message;
  return {
    kind: 'reply',
    text: queueing.busyMessage,
    seq,
    ...(thread === undefined ? {} : { thread }),
    ...(replyTo === undefined ? {} : { replyTo }),
  };
}
