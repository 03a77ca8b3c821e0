import { jsonText, type Decision, type DescribedError, type Outcome, type Reply } from '#contracts';
import type { Batch } from './batch.js';
import { laterWaitMs, spreadUp } from './later-wait.js';
import type { TaskRefusal } from '../backlog/task-of-message.js';
import { backoffMs, type TurnPolicy } from './turn-policy.js';

export type TurnError = DescribedError;

/**
 * What a turn makes of the session's state; `undefined` = there is none. A merge is made from what stands when the turn ends.
 */
export type StateChange = { readonly value: unknown } | { readonly merge: (current: unknown) => unknown };

/** A message that ends dead by itself, whatever becomes of the others of its turn. */
export interface FailedMessage {
  readonly seq: number;
  readonly error: TurnError;
}

/** How the handler of a turn came back. */
export type TurnOutcome =
  | {
      readonly kind: 'succeeded';
      readonly replies: readonly Reply[];
      /** Present when the turn changes the state. */
      readonly state?: StateChange;
      /** Messages that the agent decided to have failed: they end dead, the others are handled. */
      readonly failed?: readonly FailedMessage[];
    }
  | {
      readonly kind: 'failed';
      readonly error: TurnError;
      /**
       * What the error asks for - default: again, with backoff. `notWithinMs` costs an attempt, `laterMs` none (0 = no certain
       * time).
       */
      readonly next?: 'never' | 'split' | { readonly laterMs: number } | { readonly notWithinMs: number };
      /** What the handler did, and whether it still does, is not known. */
      readonly isUnclear?: true;
    }
  | { readonly kind: 'timed_out'; readonly error: TurnError }
  /** It did not get its task: the handler was not called. */
  | { readonly kind: 'refused'; readonly refusal: TaskRefusal }
  /** A cancel order asked for it; `seqs` are the messages that are cancelled with it. */
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
  /** Of the messages that it decides, those that are dead whatever the others are. */
  readonly failed?: readonly FailedMessage[];
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

/** The batch runs again in parts: it was refused for one of its messages, or for their number. */
export interface Split {
  readonly kind: 'split';
  readonly error: TurnError;
}

export type Settlement = Ending | Again | Split;

/**
 * The only place that turns an outcome into decisions.
 *
 *   succeeded            -> handled, but for messages that the agent names as failed, which are dead; where it names all of
 *                           them the turn has failed, so that a task whose message is among them has too
 *   failed, never        -> dead
 *   failed, split        -> again in parts, each a run of its own; a message alone is dead
 *   failed, later        -> again after the time asked for or a growing one, costs no attempt; dead when put off for too
 *                           long in all
 *   failed or timed out  -> again with backoff while attempts are left, else dead; attempts that a crash or a stop of the
 *                           worker cut are none of the turn's failures. Not before the time that the agent asked for; dead
 *                           when that is longer than a turn may be put off
 *   of a task            -> it has attempts of its own, and one whose end is not known is its last: dead, timed out
 *   cancelled            -> cancelled
 *   refused              -> refused, its sender is told why; nothing failed, so there is no dead letter
 */
export function settle(
  outcome: TurnOutcome,
  batch: Pick<Batch, 'attempt' | 'failures' | 'laterSince' | 'items' | 'task'>,
  policy: TurnPolicy,
  now: number,
  random: number,
): Settlement {
  if (outcome.kind === 'succeeded') {
    const { replies, state, failed } = outcome;
    const ending: Ending = {
      kind: 'end',
      status: 'succeeded',
      decision: 'handled',
      sends: replies,
      ...(state === undefined ? {} : { state }),
    };
    return failed === undefined ? ending : withFailed(ending, failed, batch.items);
  }
  if (outcome.kind === 'cancelled') {
    return { kind: 'end', status: 'cancelled', decision: 'cancelled', only: outcome.seqs, sends: [] };
  }
  if (outcome.kind === 'refused') return refused(outcome.refusal, batch);
  const { error } = outcome;
  // It may still be at it: what must not run twice does not go on by itself (G2).
  if (batch.task !== undefined && isUnclear(outcome)) return dead(error, 'timed_out');
  const next = outcome.kind === 'failed' ? outcome.next : undefined;
  if (next === 'split' && batch.items.length > 1) return { kind: 'split', error };
  if (next === 'never' || next === 'split') return dead(error);
  if (next !== undefined && 'laterMs' in next) return putOff(batch, error, next.laterMs, policy, now, random);
  const failures = batch.failures + 1;
  if (failures >= attemptsOf(batch, policy)) return dead(error, outcome.kind);
  const notWithinMs = next?.notWithinMs ?? 0;
  if (notWithinMs > policy.retryLaterMaxMs) return deadLate(error, policy);
  const notBefore = now + Math.max(backoffMs(policy, failures, random), spreadUp(notWithinMs, random));
  return { kind: 'again', attempt: batch.attempt + 1, failures, notBefore, error };
}

/** How many attempts of it may fail. A turn without a task is its agent's to judge, a task is a person's. */
function attemptsOf({ task }: Pick<Batch, 'task'>, policy: TurnPolicy): number {
  return task === undefined ? policy.maxAttempts : (task.maxAttempts ?? 1);
}

/** Whether what it did, and whether it still does, is not known. */
function isUnclear(outcome: Exclude<TurnOutcome, { kind: 'succeeded' | 'refused' | 'cancelled' }>): boolean {
  return outcome.kind === 'timed_out' || outcome.isUnclear === true;
}

function withFailed(ending: Ending, failed: readonly FailedMessage[], { length }: Batch['items']): Ending {
  const error = failed.at(-1)?.error;
  if (error === undefined || failed.length < length) return { ...ending, failed };
  return { ...ending, status: 'failed', decision: 'dead', error, failed };
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
  random: number,
): Settlement {
  // The clock of this host may have been set back since then: kept, the time would count only when it has come again.
  const since = Math.min(laterSince ?? now, now);
  const waitMs = laterWaitMs({ askedMs: laterMs, soFarMs: now - since }, policy, random);
  if (waitMs === undefined) return deadLate(error, policy);
  return { kind: 'again', attempt, failures, notBefore: now + waitMs, laterSince: since, error };
}

function deadLate(error: TurnError, policy: TurnPolicy): Ending {
  const message = `put off for more than ${policy.retryLaterMaxMs} ms in all (retryLaterMaxMs): ${error.message}`;
  return dead({ ...error, message });
}
