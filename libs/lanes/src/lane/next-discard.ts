import { type MessageDecision, type QueueSettings, MAX_RECORD_MESSAGES, STRATEGY_TABLE } from '#contracts';
import { decisionNote, noteReply, type DecisionNote } from '../turn-rules/decision-note.js';
import { withinHoles } from './cursor-bound.js';
import { overflowOf } from '../turn-rules/full-queue.js';
import type { InboxItem } from '../backlog/inbox-item.js';
import type { Lane } from './lane.js';
import { discardableQueueOf } from './discardable-queue.js';

/** What has to go of what waits: the queue is too full, or it has waited too long. Asked again after each step. */
export type DiscardStep =
  | ({ readonly kind: 'note' } & DecisionNote)
  /** What has to go was not kept: it has to be read again first. */
  | { readonly kind: 'read'; readonly seqs: readonly number[] };

/** `now`: by the clock of the lanes. */
export function nextDiscardStep(lane: Lane, now: number): DiscardStep | undefined {
  const { backlog } = lane;
  if (!mayDiscard(lane, now)) return undefined;
  const reasons = reasonsToDiscard(lane, now);
  if (reasons.size === 0) return undefined;
  const known = [...backlog.waiting, ...backlog.early, ...backlog.peeked].filter(({ seq }) => reasons.has(seq));
  if (known.length === 0) return { kind: 'read', seqs: [...reasons.keys()].slice(0, MAX_RECORD_MESSAGES) };
  const items = withinHoles(lane, known.slice(0, MAX_RECORD_MESSAGES));
  if (items.length === 0) return undefined;
  const note = decisionNote(
    items,
    (item) => decisionOf(item, reasons.get(item.seq) ?? ''),
    (item) => noteReply(item, { text: item.queueing.busyMessage }),
  );
  return { kind: 'note', ...note };
}

/** When the next message expires that waits now, by the clock of the lanes; undefined = none does. */
export function nextExpiryAt(lane: Lane, now: number): number | undefined {
  if (!lane.isMixed && lane.ownQueueing.queueTimeoutMs === undefined && !lane.isWaitingClockRunning) return undefined;
  let next = Number.POSITIVE_INFINITY;
  for (const item of discardableQueueOf(lane).items) {
    const { queueTimeoutMs, queueEntryTtlMs } = item.queueing;
    if (queueTimeoutMs !== undefined) next = Math.min(next, timeoutOf(lane, item, queueTimeoutMs));
    if (lane.isWaitingClockRunning) {
      next = Math.min(next, now + queueEntryTtlMs - lane.waitingClock.waitedMs(item, now));
    }
  }
  return next === Number.POSITIVE_INFINITY ? undefined : next;
}

/** Asked at every step of every lane, and nearly always there is nothing: a long backlog must not be looked through for it. */
function mayDiscard(lane: Lane, now: number): boolean {
  const { backlog, ownQueueing, isMixed } = lane;
  const count = backlog.waiting.length + backlog.early.length + backlog.beyond.length;
  if (count === 0 || isMixed) return count > 0;
  const { queueTimeoutMs, queueEntryTtlMs } = ownQueueing;
  const mayExpire = queueTimeoutMs !== undefined || lane.waitingMs(now) >= queueEntryTtlMs;
  return mayExpire || isBeyondLimit(count, ownQueueing);
}

function reasonsToDiscard(lane: Lane, now: number): Map<number, string> {
  const reasons = new Map<number, string>();
  const { items: queued, beyond } = discardableQueueOf(lane);
  for (const item of queued) {
    const reason = expiryOf(lane, item, now);
    if (reason !== undefined) reasons.set(item.seq, reason);
  }
  const { ownQueueing } = lane;
  if (!mayOverflow(queued.length + beyond.length, queued, ownQueueing)) return reasons;
  // What is in an open window comes with the next turn, and waits behind none. A window has no more than is kept of the lane.
  const inWindow = new Set(lane.serial.windowItems.map(({ seq }) => seq));
  const entries = [
    ...queued.filter(({ seq }) => !reasons.has(seq) && !inWindow.has(seq)),
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

function expiryOf(lane: Lane, item: InboxItem, now: number): string | undefined {
  const { queueTimeoutMs, queueEntryTtlMs } = item.queueing;
  if (queueTimeoutMs !== undefined && timeoutOf(lane, item, queueTimeoutMs) <= now) return 'queue-timeout';
  return lane.waitingClock.waitedMs(item, now) >= queueEntryTtlMs ? 'queue-entry-ttl' : undefined;
}

/** The clock on the wall counts here, so that an outage does too; it is looked at anew each time, as it may have been set. */
function timeoutOf({ wallAheadMs }: Lane, { storedAtMs }: InboxItem, queueTimeoutMs: number): number {
  return storedAtMs + queueTimeoutMs - wallAheadMs;
}

function decisionOf({ id, seq, content }: InboxItem, reason: string): MessageDecision {
  if (!content.ok) return { id, seq, decision: 'rejected', reason: content.problem };
  return { id, seq, decision: reason.startsWith('queue-full') || reason === 'busy' ? 'dropped' : 'expired', reason };
}
