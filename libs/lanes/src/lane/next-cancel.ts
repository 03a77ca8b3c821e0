import { CANCELLED_BETWEEN_ATTEMPTS, type CancelTarget, type MessageDecision, MAX_RECORD_MESSAGES } from '#contracts';
import { hasRoomFor, withinHoles } from './cursor-bound.js';
import { orderOf, type InboxItem } from '../backlog/inbox-item.js';
import type { Lane } from './lane.js';

/** What the orders to a lane ask for now. It is asked again until nothing of them is left. */
export type CancelStep =
  /** A note: what waits is cancelled, and when nothing is left, the order is done. */
  | { readonly kind: 'note'; readonly messages: readonly MessageDecision[] }
  /** What is meant was not kept: it has to be read again first. */
  | { readonly kind: 'read'; readonly seqs: readonly number[] }
  /** The turns that run them are to be aborted; their records cancel these. */
  | { readonly kind: 'abort'; readonly seqs: readonly number[] }
  /** At the bound of holes: what is meant is decided when it is the oldest. */
  | { readonly kind: 'put-off' };

/**
 * Queued first, then what runs: a turn that ends in between leaves nothing behind that begins again. An order is decided
 * last, so that a takeover on the way finds it and goes on. One that waits for the end of turns keeps no other one waiting.
 * To be asked after `Lane.freezeBegun`.
 */
export function nextCancelStep(lane: Lane): CancelStep | undefined {
  // What a former owner that is gone may have begun is known by its run only when it is frozen.
  if (lane.serial.isBeginningUnread) return undefined;
  const aborted: number[] = [];
  let isPutOff = false;
  const hasRoom = hasRoomFor(lane, []);
  for (const order of lane.backlog.cancelOrders) {
    if (!hasRoom && !concernsNow(lane, order)) {
      isPutOff = true;
      continue;
    }
    const { queued, running, unread, begun } = targetsOf(lane, order);
    // A run is cancelled as a whole: after the note that ends it, nothing says what else was in it.
    const mustReadFirst = queued.length === 0 || orderOf(order).target.what === 'run';
    if (unread.length > 0 && mustReadFirst) return { kind: 'read', seqs: unread.slice(0, MAX_RECORD_MESSAGES) };
    if (queued.length === 0 && running.length > 0) {
      aborted.push(...running);
      continue;
    }
    const isLast = queued.length <= MAX_RECORD_MESSAGES && running.length === 0 && unread.length === 0;
    const wanted = isLast ? [...queued, order] : queued.slice(0, MAX_RECORD_MESSAGES);
    const items = withinHoles(lane, wanted);
    if (items.length > 0) return { kind: 'note', messages: items.map((item) => decisionOf(item, order, begun)) };
    aborted.push(...running);
    isPutOff = true;
  }
  if (aborted.length > 0) return { kind: 'abort', seqs: aborted };
  return isPutOff ? { kind: 'put-off' } : undefined;
}

interface Targets {
  readonly queued: readonly InboxItem[];
  readonly running: readonly number[];
  /** Sequences of what is meant and was not kept. */
  readonly unread: readonly number[];
  /** Messages that an agent had before: those of runs that come again, and of the parts of a split batch. */
  readonly begun: ReadonlySet<number>;
}

function targetsOf({ backlog, frozenRuns, running }: Lane, order: InboxItem): Targets {
  const { target } = orderOf(order);
  const runOf = new Map<number, string>();
  for (const { next } of frozenRuns) for (const seq of next?.seqs ?? []) runOf.set(seq, next?.runId ?? '');
  const isWaitingTarget = (seq: number): boolean => seq < order.seq && matchesTarget(target, seq, runOf.get(seq));
  const queued = [...backlog.waiting, ...backlog.early, ...backlog.refused, ...backlog.peeked].filter(({ seq }) =>
    isWaitingTarget(seq),
  );
  const peeked = new Set(backlog.peeked.map(({ seq }) => seq));
  return {
    queued,
    running: running.flatMap(({ batch }) =>
      (batch?.items ?? [])
        .map(({ seq }) => seq)
        .filter((seq) => seq < order.seq && matchesTarget(target, seq, batch?.runId)),
    ),
    unread: backlog.beyond.filter((seq) => isWaitingTarget(seq) && !peeked.has(seq)),
    begun: new Set([
      ...runOf.keys(),
      ...[...frozenRuns, ...running].flatMap(({ remainingParts }) => remainingParts.flat()),
    ]),
  };
}

/** Where nothing but the oldest may be decided: whether the order means that, or what runs. */
function concernsNow({ undecidedFrom = 0, running, frozenRuns }: Lane, order: InboxItem): boolean {
  const { target } = orderOf(order);
  if (order.seq === undecidedFrom) return true;
  // What comes again has its room, whatever there is else.
  if (frozenRuns.some(({ next }) => next?.seqs.some((seq) => matchesTarget(target, seq, next.runId)))) return true;
  if (matchesTarget(target, undecidedFrom, undefined)) return true;
  return running.some(({ batch }) => batch?.items.some(({ seq }) => matchesTarget(target, seq, batch.runId)));
}

function decisionOf({ id, seq, content }: InboxItem, order: InboxItem, begun: ReadonlySet<number>): MessageDecision {
  if (seq === order.seq) return { id, seq, decision: 'handled' };
  if (content.ok && begun.has(seq)) return { id, seq, decision: 'cancelled', reason: CANCELLED_BETWEEN_ATTEMPTS };
  if (content.ok) return { id, seq, decision: 'cancelled' };
  return { id, seq, decision: 'rejected', reason: content.problem };
}

/** `runId`: of the run that the message belongs to, if any. */
export function matchesTarget(target: CancelTarget, seq: number, runId: string | undefined): boolean {
  if (target.what === 'message') return seq === target.seq;
  return target.what === 'session' || target.runId === runId;
}
