import type { MessageDecision, NoteReply, QueueSettings } from '#contracts';
import { overflowOf } from './full-queue.js';
import type { InboxItem } from './inbox-item.js';
import { MAX_RECORD_MESSAGES } from './lane-backlog.js';
import type { Lane } from './lane.js';
import { queueOf } from './lane-queue.js';
import { STRATEGY_TABLE } from './strategy-table.js';

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
  if (!mayDiscard(lane, monotonicNow)) return undefined;
  const reasons = reasonsToDiscard(lane, now, monotonicNow);
  if (reasons.size === 0) return undefined;
  const items = [...backlog.waiting, ...backlog.early, ...backlog.peeked].filter(({ seq }) => reasons.has(seq));
  if (items.length === 0) return { kind: 'read', seqs: [...reasons.keys()].slice(0, MAX_RECORD_MESSAGES) };
  return noteOf(items, reasons);
}

/** When the next message expires that waits now, ms since the epoch; undefined = none does. */
export function nextExpiryAt(lane: Lane, now: number, monotonicNow: number): number | undefined {
  if (!lane.isMixed && lane.ownQueueing.queueTimeoutMs === undefined && !lane.waitingClock.isRunning) return undefined;
  let next = Number.POSITIVE_INFINITY;
  for (const item of queueOf(lane).items) {
    const { queueTimeoutMs, queueEntryTtlMs } = item.queueing;
    if (queueTimeoutMs !== undefined) next = Math.min(next, item.storedAtMs + queueTimeoutMs);
    if (lane.waitingClock.isRunning) {
      next = Math.min(next, now + queueEntryTtlMs - lane.waitingClock.waitedMs(item, monotonicNow));
    }
  }
  return next === Number.POSITIVE_INFINITY ? undefined : next;
}

/** Asked at every step of every lane, and nearly always there is nothing: a long backlog must not be looked through for it. */
function mayDiscard({ backlog, ownQueueing, isMixed, waitingClock }: Lane, monotonicNow: number): boolean {
  const count = backlog.waiting.length + backlog.early.length + backlog.beyond.length;
  if (count === 0 || isMixed) return count > 0;
  const { queueTimeoutMs, queueEntryTtlMs } = ownQueueing;
  const mayExpire = queueTimeoutMs !== undefined || waitingClock.elapsedMs(monotonicNow) >= queueEntryTtlMs;
  return mayExpire || isBeyondLimit(count, ownQueueing);
}

function reasonsToDiscard(lane: Lane, now: number, monotonicNow: number): Map<number, string> {
  const reasons = new Map<number, string>();
  const { items: queued, beyond } = queueOf(lane);
  for (const item of queued) {
    const reason = expiryOf(lane, item, now, monotonicNow);
    if (reason !== undefined) reasons.set(item.seq, reason);
  }
  const { ownQueueing } = lane;
  if (!mayOverflow(queued.length + beyond.length, queued, ownQueueing)) return reasons;
  const entries = [
    ...queued.filter(({ seq }) => !reasons.has(seq)),
    ...beyond.map((seq) => ({ seq, queueing: ownQueueing })),
  ];
  for (const { seq, reason } of overflowOf(entries, lane.serial.isBusy)) reasons.set(seq, reason);
  return reasons;
}

function mayOverflow(count: number, queued: readonly InboxItem[], own: QueueSettings): boolean {
  return isBeyondLimit(count, own) || queued.some(({ queueing }) => isBeyondLimit(count, queueing));
}

function isBeyondLimit(count: number, { strategy, maxQueueSize }: QueueSettings): boolean {
  return STRATEGY_TABLE[strategy].busy === 'drop' || count > maxQueueSize;
}

function expiryOf(lane: Lane, item: InboxItem, now: number, monotonicNow: number): string | undefined {
  const { queueTimeoutMs, queueEntryTtlMs } = item.queueing;
  if (queueTimeoutMs !== undefined && item.storedAtMs + queueTimeoutMs <= now) return 'queue-timeout';
  return lane.waitingClock.waitedMs(item, monotonicNow) >= queueEntryTtlMs ? 'queue-entry-ttl' : undefined;
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
