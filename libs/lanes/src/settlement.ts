import { jsonText, type Decision, type Outcome, type Reply } from '#contracts';
import type { Batch } from './batch.js';
import type { TaskRefusal } from './task-ref.js';
import { backoffMs, type TurnPolicy } from './turn-policy.js';

export interface TurnError {
  readonly name: string;
  readonly message: string;
}

/** What a turn makes of the session's state; `undefined` = there is none. A merge is made from what stands when the turn ends. */
export type StateChange = { readonly value: unknown } | { readonly merge: (current: unknown) => unknown };

/** How the handler of a turn came back. */
export type TurnOutcome =
  | {
      readonly kind: 'succeeded';
      readonly replies: readonly Reply[];
      /** Present when the turn changes the state. */
      readonly state?: StateChange;
    }
  | {
      readonly kind: 'failed';
      readonly error: TurnError;
      /** What the error asks for - default: again, with backoff. */
      readonly next?: 'never' | { readonly laterMs: number };
    }
  | { readonly kind: 'timed_out'; readonly error: TurnError }
  /** It did not get its task: the handler was not called. */
  | { readonly kind: 'refused'; readonly refusal: TaskRefusal }
  /** Somebody asked for it; `seqs` are the messages that are cancelled with it. */
  | { readonly kind: 'cancelled'; readonly seqs: readonly number[] };

/** What a turn's record says, as far as the outcome decides it. */
export interface Ending {
  readonly kind: 'end';
  readonly status: Outcome;
  readonly decision: Decision;
  readonly reason?: string;
  /** The messages that it decides; all of the batch when absent. The others run again, as another run (L7). */
  readonly only?: readonly number[];
  readonly sends: readonly Reply[];
  readonly state?: StateChange;
  readonly error?: TurnError;
}

/** The same batch runs again: what its note says. */
export interface Again {
  readonly kind: 'again';
  readonly attempt: number;
  readonly failures: number;
  /** ms since the epoch. */
  readonly notBefore: number;
  readonly laterSince?: number;
  readonly error: TurnError;
}

export type Settlement = Ending | Again;

/** "Later" costs no attempt, so an agent that says "at once" every time would spin until the bound. */
const LEAST_LATER_MS = 100;

/**
 * The only place that turns an outcome into decisions.
 *
 *   succeeded            -> handled
 *   failed, never        -> dead
 *   failed, later        -> again after the time asked for, costs no attempt; dead when put off for too long in all
 *   failed or timed out  -> again with backoff while attempts are left, else dead; attempts that a crash or a stop of the
 *                           worker cut are none of the turn's failures
 *   cancelled            -> cancelled
 *   refused              -> refused, its sender is told why; nothing failed, so there is no dead letter
 */
export function settle(
  outcome: TurnOutcome,
  batch: Pick<Batch, 'attempt' | 'failures' | 'laterSince' | 'items'>,
  policy: TurnPolicy,
  now: number,
  random: number,
): Settlement {
  if (outcome.kind === 'succeeded') {
    const { replies, state } = outcome;
    return {
      kind: 'end',
      status: 'succeeded',
      decision: 'handled',
      sends: replies,
      ...(state === undefined ? {} : { state }),
    };
  }
  if (outcome.kind === 'cancelled') {
    return { kind: 'end', status: 'cancelled', decision: 'cancelled', only: outcome.seqs, sends: [] };
  }
  if (outcome.kind === 'refused') return refused(outcome.refusal, batch);
  const { error } = outcome;
  const next = outcome.kind === 'failed' ? outcome.next : undefined;
  if (next === 'never') return dead(error);
  if (next !== undefined) return putOff(batch, error, next.laterMs, policy, now);
  const failures = batch.failures + 1;
  if (failures >= policy.maxAttempts) return dead(error, outcome.kind);
  const notBefore = now + backoffMs(policy, failures, random);
  return { kind: 'again', attempt: batch.attempt + 1, failures, notBefore, error };
}

/** A turn that did not come to a good end: nothing that it wanted to send or keep counts. */
export function dead(error: TurnError, status: 'failed' | 'timed_out' = 'failed'): Ending {
  return { kind: 'end', status, decision: 'dead', reason: error.name, sends: [], error };
}

function refused({ reason, text, data }: TaskRefusal, { items }: Pick<Batch, 'items'>): Ending {
  const isSilent = items.at(-1)?.queueing.overflowAction === 'silent';
  const sends: Reply[] = isSilent ? [] : [{ kind: 'reply', text, data: jsonText(data) }];
  return { kind: 'end', status: 'rejected', decision: 'refused', reason, sends };
}

function putOff(
  { attempt, failures, laterSince = undefined }: Pick<Batch, 'attempt' | 'failures' | 'laterSince'>,
  error: TurnError,
  laterMs: number,
  policy: TurnPolicy,
  now: number,
): Settlement {
  const since = laterSince ?? now;
  const notBefore = now + Math.max(LEAST_LATER_MS, laterMs);
  if (notBefore - since <= policy.retryLaterMaxMs)
    return { kind: 'again', attempt, failures, notBefore, laterSince: since, error };
  const message = `put off for more than ${policy.retryLaterMaxMs} ms in all (retryLaterMaxMs): ${error.message}`;
  return dead({ name: error.name, message });
}
