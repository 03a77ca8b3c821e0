import { type LaneEvent, type MessageDecision, type RunInWork, isConcurrent, STRATEGY_TABLE } from '#contracts';
import type { Batch } from '../turn-rules/batch.js';
import type { InboxItem } from '../backlog/inbox-item.js';
import type { Lane } from '../lane/lane.js';
import type { RecordDraft } from './record-draft.js';
import { numberOf, type Gap } from '../backlog/reorder-buffer.js';

/** Other turns of the session run beside it. */
const CONCURRENT = { concurrent: true as const };

/** The events of a record that stands: one for each message that a note decides, or was left behind by a turn. */
export function eventsOfRecord(
  { record, again, split, isConcurrent: isBeside, failed }: RecordDraft,
  queueDepth: number,
): LaneEvent[] {
  const beside = isBeside === true ? CONCURRENT : {};
  if (record.kind === 'note') {
    const retries = again.map((run) => ({ ...retrying(run), ...(run.runId === record.run?.runId ? {} : CONCURRENT) }));
    const parted: LaneEvent[] = split === undefined ? [] : [{ type: 'turn-split', ...split, ...beside }];
    return [...parted, ...retries, ...record.messages.flatMap((message) => decidedByNote(message, queueDepth))];
  }
  const { runId, attempt, status, messages, error } = record;
  const left = messages.flatMap(({ id, seq, decision }): LaneEvent[] =>
    decision === 'superseded' || decision === 'skipped'
      ? [{ type: `message-${decision}`, droppedId: id, seq, runId, queueDepth }]
      : [],
  );
  const ended: LaneEvent = {
    ...{ type: 'turn-ended', runId, attempt, status, messages, queueDepth },
    ...(error === undefined ? {} : { error: error.name, cause: error }),
    ...(failed === undefined ? {} : { failed }),
    ...beside,
  };
  return [...again.map((run) => ({ ...retrying(run), ...CONCURRENT })), ...left, ended];
}

/** A message came and does not run at once. */
export function eventsOfArrival(lane: Lane, item: InboxItem, queueDepth: number, now: number): LaneEvent[] {
  if (!item.content.ok || item.content.message.kind === 'control') return [];
  // It is refused at once.
  if (item.task !== undefined && lane.backlog.refused.some(({ seq }) => seq === item.seq)) return [];
  const message = { messageId: item.id, ...threadOf(item) };
  if (lane.backlog.early.includes(item)) {
    return [{ type: 'message-queued', ...message, queueDepth }];
  }
  if (isConcurrent(item.queueing.strategy)) {
    if (lane.concurrentWaiting.length <= lane.concurrent.roomFor(item.queueing)) return [];
    return [{ type: 'message-queued', ...message, queueDepth }];
  }
  const { isBusy } = lane.serial;
  if (isBusy || queueDepth > 1) {
    const queued: LaneEvent = { type: 'message-queued', ...message, queueDepth };
    return isBusy || !isInQuietTime(lane, item) ? [queued] : [queued, { type: 'message-debounce-reset', ...message }];
  }
  const endsAt = lane.serial.windowEndsAt;
  if (endsAt === undefined || endsAt <= now) return [];
  return [{ type: 'message-debouncing', ...message, debounceMs: item.queueing.debounceMs }];
}

/** The lane goes on without the numbers that did not come. */
export function eventsOfGaps(gaps: readonly Gap[]): LaneEvent[] {
  return gaps.map(({ expected, item }) => ({
    ...{ type: 'message-gap', messageId: item.id, ...threadOf(item), expected, sequence: numberOf(item) ?? 0 },
  }));
}

/** A turn takes what waited. */
export function eventsOfTaking(lane: Lane, { runId, attempt, items }: Batch): LaneEvent[] {
  const latest = items.at(-1);
  if (latest === undefined || attempt > 1 || latest.seq > lane.queuedUpTo) return [];
  const skippedCount = items.length - 1;
  return [{ type: 'message-dequeued', messageId: latest.id, ...threadOf(latest), runId, skippedCount }];
}

function retrying({ runId, attempt, notBefore, error }: RunInWork): Extract<LaneEvent, { type: 'turn-retrying' }> {
  return {
    ...{ type: 'turn-retrying' as const, runId, attempt },
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(error === undefined ? {} : { cause: error }),
  };
}

function decidedByNote({ id, seq, decision, reason }: MessageDecision, queueDepth: number): LaneEvent[] {
  switch (decision) {
    case 'dropped':
    case 'expired':
    case 'cancelled':
    case 'rejected':
    case 'refused':
    case 'dead':
      return [
        {
          ...{ type: `message-${decision}`, messageId: id, seq, queueDepth },
          ...(reason === undefined ? {} : { reason }),
        },
      ];
    default:
      // An order that is done: what it did has events of its own.
      return [];
  }
}

function isInQuietTime(lane: Lane, item: InboxItem): boolean {
  return STRATEGY_TABLE[item.queueing.strategy].window === 'quiet' && lane.serial.windowEndsAt !== undefined;
}

function threadOf({ content }: InboxItem): { threadId?: string } {
  if (!content.ok || content.message.kind === 'control' || content.message.thread === undefined) return {};
  return { threadId: content.message.thread };
}
