import { QUEUE_DEFAULTS, type Head, emptyHead, type LoadedHead, laneId } from '#contracts';
import type { InboxItem } from '../backlog/inbox-item.js';
import { cursorAfter } from './next-cursor.js';
import type { CutTurn } from './after-crash.js';
import { Lane } from './lane.js';
import type { LaneHome } from './lane-view.js';

/** For specs of lanes without a runner. */

export const NOW = 1_000;
export const key = { shard: 0, agentToken: 'main', sessionToken: 's' };
export const HOME: LaneHome = { shard: 0, state: 'open', isCaughtUp: true, isBehind: false };

export function item(seq: number, route = ''): InboxItem {
  const message = { v: 1 as const, kind: 'message' as const, id: `m${seq}`, text: 'x' };
  return {
    seq,
    id: message.id,
    storedAtMs: seq,
    bytes: 1,
    queueing: QUEUE_DEFAULTS,
    content: { ok: true, message },
    route,
  };
}

export const GAP_TIMEOUT_MS = 100;

/** A message that has a number. */
export function numbered(seq: number, sequence: number, route = ''): InboxItem {
  const plain = item(seq, route);
  if (!plain.content.ok || plain.content.message.kind !== 'message') throw new Error('no message');
  const message = { ...plain.content.message, sequence };
  const queueing = { ...plain.queueing, gapTimeoutMs: GAP_TIMEOUT_MS };
  return { ...plain, queueing, content: { ok: true, message } };
}

export function broken(seq: number): InboxItem {
  return {
    seq,
    id: `seq:${seq}`,
    storedAtMs: seq,
    bytes: 1,
    queueing: QUEUE_DEFAULTS,
    content: { ok: false, problem: 'why' },
    route: '',
  };
}

/** An order to cancel the session. */
export function order(seq: number): InboxItem {
  const target = { what: 'session' as const };
  const message = { v: 1 as const, kind: 'control' as const, id: `m${seq}`, op: 'cancel' as const, target };
  return {
    seq,
    id: message.id,
    storedAtMs: seq,
    bytes: 1,
    queueing: QUEUE_DEFAULTS,
    content: { ok: true, message },
    route: '',
  };
}

export function loaded(head: Partial<Head> = {}, seq = 7): LoadedHead {
  return { head: { ...emptyHead(), ...head }, seq, stateSeq: 0 };
}

export function openLane(items: readonly InboxItem[], from = loaded()): Lane {
  const lane = new Lane(laneId(key), HOME);
  lane.open(from);
  for (const each of items) lane.arrive(each, 0);
  return lane;
}

interface Crash {
  readonly head?: LoadedHead;
  readonly cut?: CutTurn;
  readonly upTo?: number;
}

/** A lane whose former owner is gone without a word. */
export function takenOver(items: readonly InboxItem[], { head = loaded(), cut, upTo = 100 }: Crash = {}): Lane {
  const lane = openLane([], head);
  lane.assumeCrash(cut, upTo, NOW);
  for (const each of items) lane.arrive(each, 0);
  return lane;
}

/** Writes the note that has to stand before the next turn, as the runner would. */
export function recordRun(lane: Lane): void {
  const run = lane.serial.prepareNote();
  if (run === undefined) throw new Error('nothing to record');
  lane.wrote(loaded({ ...lane.head, run }, lane.headSeq + 1));
}

/** Takes a batch and commits it as the runner would. */
export function runTurn(lane: Lane): number[] {
  const seqs = lane.serial.take(NOW).items.map(({ seq }) => seq);
  lane.resumeFrom(loaded({ ...lane.head, ...cursorAfter(lane, seqs), run: null }, lane.headSeq + 1));
  lane.serial.end(0);
  return seqs;
}

export const seqsOf = (items: readonly InboxItem[] | undefined) => items?.map(({ seq }) => seq);
