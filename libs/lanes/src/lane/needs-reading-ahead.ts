import type { Lane } from './lane.js';

/** The lane can go on only when it is known whether the part of its shard that is not read yet has something of it. */
export function needsReadingAhead(lane: Lane, now: number): boolean {
  const { home } = lane;
  // Nothing of it goes on here.
  if (lane.isAgentMissing) return false;
  if (!lane.isOpen || lane.handoff !== undefined || lane.unreadFrom !== undefined) return false;
  // What a frozen batch lacks then is gone from the inbox, or came to be known after all was read: its reader says no more of
  // it.
  if (!home.isBehind) return home.isCaughtUp && lane.isIncomplete;
  if (lane.undecidedFrom === undefined) return false;
  const { serial, backlog } = lane;
  if (serial.isWindowUnread) return (serial.windowEndsAt ?? 0) <= now;
  if (lane.isIncomplete) return true;
  if (backlog.early.length === 0 || backlog.beyond.length > 0) return false;
  // A missing number is given up when its time is over, and not before everything stored until then was received.
  const endsAt = lane.gapEndsAt(now) ?? 0;
  return endsAt <= now && lane.readUpTo(0) < Math.max(1, endsAt);
}
