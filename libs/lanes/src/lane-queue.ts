import type { InboxItem } from './inbox-item.js';
import type { Lane } from './lane.js';
import { isParallel } from './strategy-table.js';

/** What waits of a lane and may be dropped or expire. */
export interface LaneQueue {
  readonly items: readonly InboxItem[];
  /** The same of what is not kept as a whole. */
  readonly beyond: readonly number[];
}

/**
 * What waits behind the runs that are next: neither a message that has run or may have, nor a `concurrent` one that may run
 * now and waits for nothing but a slot.
 */
export function queueOf(lane: Lane): LaneQueue {
  const { backlog, serial, parallel } = lane;
  const claimed = new Set(serial.claimedSeqs);
  const { early } = backlog;
  const waiting = early.length === 0 ? backlog.waiting : [...backlog.waiting, ...early];
  if (!lane.hasParallel) {
    const items = claimed.size === 0 ? waiting : waiting.filter(({ seq }) => !claimed.has(seq));
    return { items, beyond: backlog.beyond };
  }
  for (const { next } of parallel.frozen) for (const seq of next?.seqs ?? []) claimed.add(seq);
  let room: number | undefined;
  const items = waiting.filter((item) => {
    if (claimed.has(item.seq)) return false;
    if (!isParallel(item.queueing.strategy)) return true;
    if (parallel.mayHaveBegun(item.seq)) return false;
    room ??= parallel.roomFor(item.queueing);
    return room-- <= 0;
  });
  if (!isParallel(lane.ownQueueing.strategy)) return { items, beyond: backlog.beyond };
  room ??= parallel.roomFor(lane.ownQueueing);
  return { items, beyond: backlog.beyond.slice(Math.max(0, room)) };
}
