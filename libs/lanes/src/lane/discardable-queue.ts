import type { InboxItem } from '../backlog/inbox-item.js';
import type { Lane } from './lane.js';
import { isConcurrent } from '#contracts';

/** What waits of a lane and may be dropped or expire. */
export interface DiscardableQueue {
  readonly items: readonly InboxItem[];
  /** The same of what is not kept as a whole. */
  readonly beyond: readonly number[];
}

/**
 * What waits behind the runs that are next: neither a message that has run or may have, nor a `concurrent` one that may run
 * now and waits for nothing but a slot, nor one whose task is still asked about.
 */
export function discardableQueueOf(lane: Lane): DiscardableQueue {
  const { backlog, serial, concurrent } = lane;
  const claimed = new Set(serial.claimedSeqs);
  const { early } = backlog;
  const waiting = early.length === 0 ? backlog.waiting : [...backlog.waiting, ...early];
  const { tasks } = lane;
  const isCounted = (seq: number): boolean => tasks?.isPending(seq) !== true;
  const areAllCounted = (tasks?.pendingCount ?? 0) === 0;
  const beyond = areAllCounted ? backlog.beyond : backlog.beyond.filter(isCounted);
  if (!lane.hasConcurrent) {
    const isAll = claimed.size === 0 && areAllCounted;
    const items = isAll ? waiting : waiting.filter(({ seq }) => !claimed.has(seq) && isCounted(seq));
    return { items, beyond };
  }
  for (const { next } of concurrent.frozen) for (const seq of next?.seqs ?? []) claimed.add(seq);
  for (const seq of concurrent.seqsOfParts) claimed.add(seq);
  let room: number | undefined;
  const items = waiting.filter((item) => {
    if (claimed.has(item.seq)) return false;
    if (!isConcurrent(item.queueing.strategy)) return isCounted(item.seq);
    if (concurrent.mayHaveBegun(item.seq)) return false;
    room ??= concurrent.roomFor(item.queueing);
    return room-- <= 0 && isCounted(item.seq);
  });
  if (!isConcurrent(lane.ownQueueing.strategy)) return { items, beyond };
  room ??= concurrent.roomFor(lane.ownQueueing);
  return { items, beyond: beyond.slice(Math.max(0, room)) };
}
