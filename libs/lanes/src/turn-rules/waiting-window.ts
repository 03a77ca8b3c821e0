import { type QueueSettings, STRATEGY_TABLE } from '#contracts';
import type { InboxItem } from '../backlog/inbox-item.js';

/** The first window of what waits: how many messages are in it, and when it is over. */
export interface WaitingWindow {
  /** The first so many messages; what came after it was over begins the next one. */
  readonly count: number;
  /** ms since the epoch; 0 = there is nothing to wait for. */
  readonly endsAt: number;
}

/**
 * Windows are computed from the times at which the broker stored the messages, so that the next reader of them comes to
 * the same batches. What came while a turn ran (up to `busyUntil`) is in the window that follows, however far apart.
 */
export function firstWindow(
  waiting: readonly Pick<InboxItem, 'storedAtMs'>[],
  queueing: Pick<QueueSettings, 'strategy' | 'debounceMs' | 'maxDebounceMs'>,
  busyUntil: number,
): WaitingWindow {
  const [first] = waiting;
  const { window } = STRATEGY_TABLE[queueing.strategy];
  if (first === undefined || window === 'none') return { count: waiting.length, endsAt: 0 };
  if (window === 'fixed') return fixedWindow(waiting, first.storedAtMs, queueing.debounceMs, busyUntil);
  return quietWindow(waiting, first.storedAtMs, queueing, busyUntil);
}

/** One per idle time: what came while a turn ran has waited long enough. */
function fixedWindow(
  waiting: readonly Pick<InboxItem, 'storedAtMs'>[],
  firstAt: number,
  debounceMs: number,
  busyUntil: number,
): WaitingWindow {
  if (firstAt <= busyUntil) return { count: waiting.length, endsAt: 0 };
  const endsAt = firstAt + debounceMs;
  const count = waiting.findIndex(({ storedAtMs }) => storedAtMs > endsAt);
  return { count: count === -1 ? waiting.length : count, endsAt };
}

/** Each message begins it anew, but not beyond `maxDebounceMs` after the first. */
function quietWindow(
  waiting: readonly Pick<InboxItem, 'storedAtMs'>[],
  firstAt: number,
  { debounceMs, maxDebounceMs }: Pick<QueueSettings, 'debounceMs' | 'maxDebounceMs'>,
  busyUntil: number,
): WaitingWindow {
  const latestEnd = firstAt + maxDebounceMs;
  let endsAt = Math.min(firstAt + debounceMs, latestEnd);
  let count = 0;
  for (const { storedAtMs } of waiting) {
    if (storedAtMs > endsAt && storedAtMs > busyUntil) break;
    endsAt = Math.max(endsAt, Math.min(storedAtMs + debounceMs, latestEnd));
    count++;
  }
  return { count, endsAt };
}
