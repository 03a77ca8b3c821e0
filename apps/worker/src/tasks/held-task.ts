import { makeJson, TASK_LIMITS, type JsonText, type ReleaseRequest, type TaskError } from '#contracts';
import type { TaskHolding } from '#guards';

/** A task that a run of this worker holds. */
export interface Held {
  readonly holding: TaskHolding;
  readonly startedAt: number;
  readonly ttlMs: number;
  /** It is that of the run's message: it ends as the turn ends. */
  readonly isOfMessage: boolean;
  state: 'idle' | 'working' | 'failed';
  error?: TaskError;
  /** What worked under it failed by itself, before anybody told it to stop: no cut and no cancel makes that undone (G2). */
  hasFailedItself?: boolean;
  /** Of the function that works under it: by whose attempt it was called, and when it has stopped. Never rejects. */
  work?: { readonly by: TaskRunner; readonly stopped: Promise<unknown> } | undefined;
  /** The attempt (its `over`) for which it was got, or asked about last; absent = a former one had it elsewhere, and nobody could be asked yet. */
  confirmedFor: AbortSignal | undefined;
  /** The attempt (its `over`) that got its token; absent = a former one, elsewhere. The next one gets a greater token. */
  readonly gotFor: AbortSignal | undefined;
  /** How many of its attempts failed. */
  failures: number;
}

/** Whose holdings they are, one per attempt; `owner` is for people. */
export interface TaskRunner {
  readonly runId: string;
  readonly owner: string;
  /** Aborts when the attempt is over: it gets nothing any more, and what works for it has to stop. */
  readonly over: AbortSignal;
}

/** How a run ended, as far as its tasks are concerned. */
export interface RunEnd {
  readonly status: ReleaseRequest['status'];
  readonly error?: TaskError | undefined;
}

export const FORMER_ATTEMPT: TaskError = {
  name: 'former_attempt_failed',
  message: 'a former attempt of its turn failed',
};
export const UNFINISHED: TaskError = { name: 'unfinished', message: 'its turn ended while it was still at work' };

/** What its release is to say when its run has ended so. */
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

/** What its release is to say when its run was cut, and is run again elsewhere or later. */
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

/** What of an answer goes along with the release: what JSON keeps of it, and nothing of what is too large. */
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

/** `undefined` for what JSON has no form of, or the guard would not take. */
function jsonOf(value: unknown): JsonText | undefined {
  try {
    const made = makeJson(value);
    return made.ok ? made.json : undefined;
  } catch {
    return undefined;
  }
}
