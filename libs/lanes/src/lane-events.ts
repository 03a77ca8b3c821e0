import type { LaneEvent, MessageDecision, RunInWork, SessionRecord } from '#contracts';
import type { Batch } from './batch.js';
import type { InboxItem } from './inbox-item.js';
import type { Lane } from './lane.js';
import { STRATEGY_TABLE } from './strategy-table.js';

/** The events of a record that stands: one for each message that a note decides, or was left behind by a turn. */
export function eventsOfRecord(record: SessionRecord, queueDepth: number): LaneEvent[] {
  if (record.kind === 'note') {
    if (record.messages.length === 0 && record.run !== null) return [retrying(record.run)];
    return record.messages.flatMap((message) => decidedByNote(message, queueDepth));
  }
  const { runId, attempt, status, messages, error } = record;
  const left = messages.flatMap(({ id, seq, decision }): LaneEvent[] =>
    decision === 'superseded' || decision === 'skipped'
      ? [{ type: `message-${decision}`, droppedId: id, seq, runId }]
      : [],
  );
  const told = messages.map(({ id, seq, decision }) => ({ id, seq, decision }));
  const ended: LaneEvent = {
    ...{ type: 'turn-ended', runId, attempt, status, messages: told },
    ...(error === undefined ? {} : { error: error.name }),
  };
  return [...left, ended];
}

/** A message came and does not run at once. */
export function eventsOfArrival(lane: Lane, item: InboxItem, queueDepth: number, now: number): LaneEvent[] {
  if (!item.content.ok || item.content.message.kind === 'control') return [];
  const message = { messageId: item.id, ...threadOf(item) };
  if (lane.isBusy || queueDepth > 1) {
    lane.queuedUpTo = item.seq;
    const queued: LaneEvent = { type: 'message-queued', ...message, queueDepth };
    return lane.isBusy || !isInQuietTime(lane, item)
      ? [queued]
      : [queued, { type: 'message-debounce-reset', ...message }];
  }
  const endsAt = lane.windowEndsAt;
  if (endsAt === undefined || endsAt <= now) return [];
  return [{ type: 'message-debouncing', ...message, debounceMs: item.queueing.debounceMs }];
}

/** A turn takes what waited. */
export function eventsOfTaking(lane: Lane, { runId, items }: Batch): LaneEvent[] {
  const latest = items.at(-1);
  if (latest === undefined || latest.seq > lane.queuedUpTo) return [];
  const skippedCount = items.length - 1;
  return [{ type: 'message-dequeued', messageId: latest.id, ...threadOf(latest), runId, skippedCount }];
}

function retrying({ runId, attempt, notBefore }: RunInWork): LaneEvent {
  return { ...{ type: 'turn-retrying', runId, attempt }, ...(notBefore === undefined ? {} : { notBefore }) };
}

function decidedByNote({ id, seq, decision, reason }: MessageDecision, queueDepth: number): LaneEvent[] {
  switch (decision) {
    case 'dropped':
    case 'expired':
    case 'cancelled':
    case 'rejected':
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
  return STRATEGY_TABLE[item.queueing.strategy].window === 'quiet' && lane.windowEndsAt !== undefined;
}

function threadOf({ content }: InboxItem): { threadId?: string } {
  if (!content.ok || content.message.kind === 'control' || content.message.thread === undefined) return {};
  return { threadId: content.message.thread };
}
