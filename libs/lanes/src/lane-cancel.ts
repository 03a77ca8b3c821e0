import type { CancelTarget, MessageDecision } from '#contracts';
import type { InboxItem } from './inbox-item.js';
import { MAX_RECORD_MESSAGES, orderOf } from './lane-backlog.js';
import type { Lane } from './lane.js';

/** What the oldest order to a lane asks for now. It is repeated until nothing of it is left, and only then decided. */
export type CancelStep =
  /** A note: what waits is cancelled, and when nothing is left, the order is done. */
  | { readonly kind: 'note'; readonly messages: readonly MessageDecision[]; readonly endsRun: boolean }
  /** The running turn is to be aborted; its record cancels these. */
  | { readonly kind: 'abort'; readonly seqs: readonly number[] };

/**
 * Queued first, then what runs: a turn that ends in between leaves nothing behind that begins again. The order itself is
 * decided last, so that a takeover on the way finds it and goes on.
 */
export function nextCancelStep(lane: Lane): CancelStep | undefined {
  const [order] = lane.backlog.controls;
  if (order === undefined) return undefined;
  const { queued, running, endsRun } = targetsOf(lane, order);
  const cancelled = queued.slice(0, MAX_RECORD_MESSAGES - 1);
  if (cancelled.length === 0 && running.length > 0) return { kind: 'abort', seqs: running };
  const messages = cancelled.map(({ id, seq }): MessageDecision => ({ id, seq, decision: 'cancelled' }));
  const isDone = cancelled.length === queued.length && running.length === 0;
  if (isDone) messages.push({ id: order.id, seq: order.seq, decision: 'handled' });
  return { kind: 'note', messages, endsRun };
}

interface Targets {
  readonly queued: readonly InboxItem[];
  readonly running: readonly number[];
  /** The run that waits for its next attempt loses messages: what is left of it is another run (L7). */
  readonly endsRun: boolean;
}

function targetsOf(lane: Lane, order: InboxItem): Targets {
  const { target } = orderOf(order);
  const { nextRun, running } = lane;
  const frozen = new Set(nextRun?.seqs);
  const isBefore = ({ seq }: InboxItem): boolean => seq < order.seq;
  const queued = lane.backlog.waiting
    .filter(isBefore)
    .filter(({ seq }) => isMeant(target, seq, frozen.has(seq) ? nextRun?.runId : undefined));
  return {
    queued,
    running: (running?.items ?? [])
      .filter(isBefore)
      .map(({ seq }) => seq)
      .filter((seq) => isMeant(target, seq, running?.runId)),
    endsRun: queued.some(({ seq }) => frozen.has(seq)),
  };
}

/** `runId`: of the run that the message belongs to, if any. */
export function isMeant(target: CancelTarget, seq: number, runId: string | undefined): boolean {
  if (target.what === 'message') return seq === target.seq;
  return target.what === 'session' || target.runId === runId;
}
