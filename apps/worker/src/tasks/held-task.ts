import { makeJson, TASK_LIMITS, type JsonText, type ReleaseRequest, type TaskError } from '#contracts';
import type { TaskHolding } from '#guards';

/** A task that a run of this worker holds. */
export interface Held {
  readonly holding: TaskHolding;
  readonly startedAt: number;
  readonly ttlMs: number;
  /** The task of the run's message. It ends with the turn. */
  readonly isOfMessage: boolean;
  state: 'idle' | 'working' | 'failed';
  error?: TaskError;
  /** The work failed before it was told to stop. A later cut or cancel does not change that (G2). */
  hasFailedItself?: boolean;
  /**
   * The function that works under the holding: the attempt that called it, and a promise that resolves when it stops.
   * Never rejects.
   */
  work?: { readonly by: TaskRunner; readonly stopped: Promise<unknown> } | undefined;
  /**
   * The attempt (its `over`) that acquired or last confirmed the holding. Absent: an earlier attempt acquired it
   * elsewhere, and no guard has confirmed it yet.
   */
  confirmedFor: AbortSignal | undefined;
  /**
   * The attempt (its `over`) that got the token. Absent: an earlier attempt, elsewhere. The next attempt gets a greater
   * token.
   */
  readonly gotFor: AbortSignal | undefined;
  /** Number of failed attempts. */
  failures: number;
}

/** One attempt of a run, which owns holdings. `owner` is for people. */
export interface TaskRunner {
  readonly runId: string;
  readonly owner: string;
  /** Aborts when the attempt is over. Then it acquires nothing more, and its work must stop. */
  readonly over: AbortSignal;
}

/** How a run ended, for its tasks. */
export interface RunEnd {
  readonly status: ReleaseRequest['status'];
  readonly error?: TaskError | undefined;
}

export const FORMER_ATTEMPT: TaskError = {
  name: 'former_attempt_failed',
  message: 'an earlier attempt of its turn failed',
};
export const UNFINISHED: TaskError = { name: 'unfinished', message: 'its turn ended while the task was still running' };

/** The release for a holding whose run ended this way. */
export function releaseOf(held: HeldTaskState, end: RunEnd, isLeaked: boolean): Omit<ReleaseRequest, 'token'> {
  const status = statusOf(held, end, isLeaked);
  if (status !== 'failed') return { status };
  const { isOfMessage, state } = held;
  const ownError = isOfMessage ? end.error : held.error;
  const error = ownError ?? (isLeaked || state === 'working' ? UNFINISHED : end.error);
  return {
    status: isOfMessage && end.status === 'timed_out' ? 'timed_out' : 'failed',
    ...(error === undefined ? {} : { error }),
  };
}

export type HeldTaskState = Pick<Held, 'isOfMessage' | 'state' | 'error' | 'hasFailedItself'>;

/** The release for a holding whose run was interrupted and runs again elsewhere or later. */
export function releaseOfCut(held: HeldTaskState): Omit<ReleaseRequest, 'token'> {
  return releaseOf(held, { status: 'interrupted' }, false);
}

function statusOf(
  { isOfMessage, state, hasFailedItself = false }: HeldTaskState,
  { status }: RunEnd,
  isLeaked: boolean,
): 'succeeded' | 'cancelled' | 'interrupted' | 'failed' {
  if (isLeaked || (hasFailedItself && !isOfMessage)) return 'failed';
  if (status === 'cancelled' || status === 'interrupted') return status;
  if (status !== 'succeeded') return 'failed';
  return isOfMessage || state === 'idle' ? 'succeeded' : 'failed';
}

/** The part of an answer that is sent with the release: its JSON, or nothing when it is too large. */
export interface Keepable {
  readonly isTooLarge: boolean;
  readonly kept: Pick<ReleaseRequest, 'result'>;
}

export function keepable(answer: unknown): Keepable {
  const result = jsonOf(answer);
  const isTooLarge = result !== undefined && result.bytes > TASK_LIMITS.resultBytes;
  if (result === undefined || isTooLarge) return { isTooLarge, kept: {} };
  return { isTooLarge, kept: { result } };
}

/** `undefined` when the value has no JSON form, or one that the guard does not accept. */
function jsonOf(value: unknown): JsonText | undefined {
  try {
    const made = makeJson(value);
    return made.ok ? made.json : undefined;
  } catch {
    return undefined;
  }
}
