import type { InboxItem } from '../backlog/inbox-item.js';
import { STRATEGY_TABLE } from '#contracts';
import { firstWindow } from './waiting-window.js';

/**
 * What the next turn gets of what waits (ascending by sequence, and so is the answer): the strategy of the oldest message
 * decides, and only messages of its route come with it, so that no sender is answered in the thread of another one (L2). One
 * that starts a task comes alone: its turn begins only when the guard lets it, and the others must not wait or fail for that.
 */
export function takeBatch(waiting: readonly InboxItem[], busyUntil: number): InboxItem[] {
  const [oldest] = waiting;
  if (oldest === undefined) return [];
  if (waiting.length === 1) return [oldest];
  const { queueing } = oldest;
  const sharing = upToTask(waiting);
  const { count } = firstWindow(sharing, queueing, busyUntil);
  const { take } = STRATEGY_TABLE[queueing.strategy];
  const ofRoute = sharing.slice(0, count).filter(({ route }) => route === oldest.route);
  if (take !== 'one') return withinTurn(ofRoute, queueing);
  // A queue that is too full gives its oldest messages to the next turn as a summary.
  return withinTurn(ofRoute.slice(0, 1 + summarizedOf(waiting, queueing)), queueing);
}

/** The first of these, as many as a turn takes at most: the rest is the next turn's, and the oldest alone always fits. */
function withinTurn(items: InboxItem[], { maxTurnMessages, maxTurnBytes }: InboxItem['queueing']): InboxItem[] {
  let bytes = 0;
  let count = 0;
  for (const item of items) {
    bytes += item.bytes;
    if (count > 0 && (count === maxTurnMessages || bytes > maxTurnBytes)) return items.slice(0, count);
    count++;
  }
  return items;
}

/**
 * What the next of the turns gets that run beside each other: the oldest message, and with a queue that is too full more of
 * its route as a summary. `room`: how many of those that wait may run at once, so that they are not too many.
 */
export function takeConcurrent(waiting: readonly InboxItem[], room: number): InboxItem[] {
  const [oldest] = waiting;
  if (oldest === undefined) return [];
  const tooMany = summarizedOf(waiting.slice(room), oldest.queueing);
  const ofRoute = upToTask(waiting).filter(({ route }) => route === oldest.route);
  return withinTurn(ofRoute.slice(0, 1 + tooMany), oldest.queueing);
}

/**
 * The part of what waits whose messages may share a turn, as far as tasks are concerned: the oldest alone when it starts one,
 * else what comes before the first of its route that does, since nothing of that route may overtake it (L2).
 */
export function upToTask(waiting: readonly InboxItem[]): readonly InboxItem[] {
  const [oldest] = waiting;
  if (oldest?.task !== undefined) return [oldest];
  const at = waiting.findIndex(({ task, route }) => task !== undefined && route === oldest?.route);
  return at === -1 ? waiting : waiting.slice(0, at);
}

/** How many of the first messages of a batch a turn gets as a summary only. */
export function summarizedIn(items: readonly InboxItem[]): number {
  const { queueing, task } = items.at(-1) ?? {};
  if (queueing === undefined || task !== undefined || queueing.onQueueFull !== 'summarize') return 0;
  if (STRATEGY_TABLE[queueing.strategy].take === 'one') return items.length - 1;
  return Math.max(0, items.length - queueing.maxQueueSize);
}

function summarizedOf(waiting: readonly InboxItem[], { onQueueFull, maxQueueSize }: InboxItem['queueing']): number {
  return onQueueFull === 'summarize' ? Math.max(0, waiting.length - maxQueueSize) : 0;
}
