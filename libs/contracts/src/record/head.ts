import type { Head, SequenceRange } from './record.js';
import { addToRanges, rangesContain } from './sequence-ranges.js';

/**
 * The head algebra. A head says which inbox messages of its session are decided; everything else is pending:
 *
 *   pending = sequences above `upto` that are in no range of `done`
 *
 * Invariants: a sequence is decided at most once (L1); `done` is sorted, disjoint and wholly above `upto`; a head that was
 * written and read back gives the same pending set. In these functions `undecided` is everything of the session that was read
 * and is not decided, ascending, and `readTo` is the highest sequence that was read: the reader reads in stream order, so
 * everything at or below it is known, and nothing above it. A head that an earlier process wrote may have ranges above
 * `readTo`; the messages before these ranges are still to be read, so the ranges must not move `upto` (L3).
 */

/** A head as it was read, including the state, whichever record holds that. */
export interface LoadedHead {
  readonly head: Head;
  /** Sequence of the record that contains the head; 0 = the session has no record. */
  readonly seq: number;
  /** Sequence of the record that contains the state; 0 = there is no state. */
  readonly stateSeq: number;
  /** Its approximate size in memory; absent = next to nothing. */
  readonly bytes?: number;
}

/** At this many holes the lane takes only its oldest message, so that a head stays small. */
export const MAX_DONE_RANGES = 1_024;

/**
 * A record decides at most this many messages. Each of their ids may have 768 bytes: without a limit, the backlog of an
 * outage would make a batch whose record, even the record of its failure, is too large to be written.
 */
export const MAX_RECORD_MESSAGES = 500;

/** There are many heads, and in most these lists are empty: all share one. */
const NO_RANGES: SequenceRange[] = [];
Object.freeze(NO_RANGES);
const NO_ENTRIES = Object.freeze({});

export function emptyHead(): Head {
  return { upto: 0, done: NO_RANGES, run: null, nextSequence: null, children: NO_ENTRIES, relayed: NO_ENTRIES };
}

/** The same head, with its empty parts shared with all other heads. */
export function withSharedEmpties(head: Head): Head {
  const { done, children, relayed } = head;
  return {
    ...head,
    ...(done.length === 0 ? { done: NO_RANGES } : {}),
    ...(isEmpty(children) ? { children: NO_ENTRIES } : {}),
    ...(isEmpty(relayed) ? { relayed: NO_ENTRIES } : {}),
  };
}

function isEmpty(entries: object): boolean {
  for (const _name in entries) return false;
  return true;
}

export function isDecided(head: Pick<Head, 'upto' | 'done'>, seq: number): boolean {
  return seq <= head.upto || rangesContain(head.done, seq);
}

/** The cursor part of the head after `seqs` are decided too. Throws when one of them is already decided (L1). */
export function decide(
  head: Pick<Head, 'upto' | 'done'>,
  seqs: readonly number[],
  undecided: readonly number[],
  readTo: number,
): { upto: number; done: SequenceRange[] } {
  const twice = seqs.find((seq) => isDecided(head, seq));
  if (twice !== undefined) throw new Error(`message ${twice} would be decided twice (L1)`);
  const deciding = new Set(seqs);
  const left = undecided.filter((seq) => !deciding.has(seq));
  const ranges = addToRanges(head.done, seqs, left, readTo);
  const lowestLeft = left[0] ?? Number.POSITIVE_INFINITY;
  let { upto } = head;
  let passed = 0;
  for (const [from, to] of ranges) {
    if (to > lowestLeft || from - 1 > Math.max(readTo, upto)) break;
    upto = Math.max(upto, to);
    passed++;
  }
  return { upto, done: passed === ranges.length ? NO_RANGES : ranges.slice(passed) };
}
