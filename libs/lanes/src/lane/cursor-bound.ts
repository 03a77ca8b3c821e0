import { isDecided, MAX_DONE_RANGES } from '#contracts';
import { cursorAfter } from './next-cursor.js';
import type { LaneView } from './lane-view.js';

/**
 * Keeps the holes of a session's cursor within their bound (`MAX_DONE_RANGES`), with every decision: what is decided before
 * what came earlier is one more of them. What runs, or has run and comes again, will be decided too, and has its room kept.
 * At the bound only what makes no hole more is decided: the oldest message, mostly, and the others wait for it.
 */

/** As many of these as may be decided by one record now: the first of them, so that a turn keeps their order (L2). */
export function firstWithinHoles<Item extends { readonly seq: number }>(
  lane: LaneView,
  items: readonly Item[],
): readonly Item[] {
  if (isFarFrom(lane, items.length)) return items;
  if (!hasRoomFor(lane, items)) return [];
  for (let count = items.length; count > 0; count = Math.floor(count / 2)) {
    const first = count === items.length ? items : items.slice(0, count);
    if (mayDecide(lane, first)) return first;
  }
  return [];
}

/** As `firstWithinHoles`, of what gets no turn: the oldest first. */
export function withinHoles<Item extends { readonly seq: number }>(
  lane: LaneView,
  items: readonly Item[],
): readonly Item[] {
  if (isFarFrom(lane, items.length)) return items;
  return firstWithinHoles(
    lane,
    items.toSorted((a, b) => a.seq - b.seq),
  );
}

/** False: none of these may be decided now. Much less work than `withinHoles`, for those that ask for many at every step. */
export function hasRoomFor(lane: LaneView, items: readonly { readonly seq: number }[]): boolean {
  const { head, undecidedFrom } = lane;
  const kept = keptBeside(
    lane,
    items.map(({ seq }) => seq),
  );
  return head.done.length + kept < MAX_DONE_RANGES || items.some(({ seq }) => seq === undecidedFrom);
}

/** Nothing may be decided but what moves the cursor. */
export function isAtHolesBound({ head }: LaneView): boolean {
  return head.done.length >= MAX_DONE_RANGES;
}

/** Asked with every turn. */
function isFarFrom(lane: LaneView, count: number): boolean {
  return !lane.hasConcurrentRuns && lane.head.done.length + count <= MAX_DONE_RANGES / 2;
}

function mayDecide(lane: LaneView, items: readonly { readonly seq: number }[]): boolean {
  const { done } = lane.head;
  const seqs = items.map(({ seq }) => seq);
  const kept = keptBeside(lane, seqs);
  if (done.length + seqs.length + kept <= MAX_DONE_RANGES) return true;
  const after = cursorAfter(lane, seqs).done.length;
  return after <= done.length || after + kept <= MAX_DONE_RANGES;
}

/** How many others will be decided that a run has. */
function keptBeside({ running, frozenRuns, head }: LaneView, seqs: readonly number[]): number {
  const others = new Set<number>();
  for (const { batch, remainingParts } of running) {
    for (const { seq } of batch?.items ?? []) others.add(seq);
    for (const seq of remainingParts.flat()) others.add(seq);
  }
  for (const { next, remainingParts } of frozenRuns) {
    for (const seq of next?.seqs ?? []) others.add(seq);
    for (const seq of remainingParts.flat()) others.add(seq);
  }
  for (const seq of seqs) others.delete(seq);
  let count = 0;
  for (const seq of others) if (!isDecided(head, seq)) count++;
  return count;
}
