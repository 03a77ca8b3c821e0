import type { HeldTaskView, TaskConflict, TaskOptions, TaskRun } from '#agents';
import {
  describeThrown,
  RetryLaterError,
  TASK_LIMITS,
  type AcquireAnswer,
  type AcquireRequest,
  type Clock,
  type HeldTask,
  type ReleaseRequest,
  type StalePolicy,
  type TaskError,
} from '#contracts';
import { TaskHolding, TaskLostError, type GuardClient } from '#guards';
import type { Logger } from '#telemetry';

/**
 * The tasks that turns of this worker hold, by their runs. A task outlives an attempt: it is released when its run has come to
 * its end, so that the turn's own retries happen inside one holding, and it does not run again after a failure (G2).
 *
 *   (none) --take, adopt--> idle --fn--> working --answers--> released as succeeded
 *                                        working --throws--> failed, held on to for the next attempt
 *   failed --fn of the next attempt--> working
 *   any --the turn ends--> released: failed before the turn's record (a crash in between must not free it), else after it
 */

export interface RunTasksOptions {
  readonly client: Pick<GuardClient, 'acquire' | 'renew' | 'release' | 'end'>;
  readonly clock: Clock;
  readonly newRequestId: () => string;
  readonly guard: {
    readonly ttlMs: number;
    readonly stale: StalePolicy;
    readonly whenUnavailable: 'closed' | 'open';
    readonly answerWithinMs: number;
  };
  readonly log: Logger;
}

/** Whose holdings they are; `owner` is for people. */
export interface TaskRunner {
  readonly runId: string;
  readonly owner: string;
}

interface Held {
  readonly holding: TaskHolding;
  readonly startedAt: number;
  /** It is that of the run's message: it ends as the turn ends. */
  readonly isOfMessage: boolean;
  state: 'idle' | 'working' | 'failed';
  error?: TaskError;
}

export type Taken =
  | { readonly kind: 'held'; readonly held: Held }
  /** Nobody could be asked, and that is what was chosen for this case. */
  | { readonly kind: 'unguarded' }
  | Exclude<AcquireAnswer, { readonly kind: 'acquired' }>;

/** How a run ended, as far as its tasks are concerned. */
export interface RunEnd {
  readonly status: ReleaseRequest['status'];
  readonly error?: TaskError | undefined;
}

const FORMER_ATTEMPT: TaskError = { name: 'former_attempt_failed', message: 'a former attempt of its turn failed' };
const UNFINISHED: TaskError = { name: 'unfinished', message: 'its turn ended while it was still at work' };
/** Behind the end of a holding of one's own run: clocks differ a little. */
const AFTER_EXPIRY_MS = 100;

export class RunTasks {
  private readonly runs = new Map<string, Map<string, Held>>();
  /** Keys that are being released here: whoever wants one waits for that, rather than hear of a holder that is none. */
  private readonly releasing = new Map<string, Promise<unknown>>();
  private isClosed = false;

  constructor(private readonly options: RunTasksOptions) {}

  /** Tasks that the run holds on to for its next attempt. */
  heldBy(runId: string): HeldTask[] {
    const held = [...(this.runs.get(runId)?.values() ?? [])];
    return held.flatMap(({ holding: { key, token, lost } }) => (lost.aborted ? [] : [{ key, token }]));
  }

  /** Goes on with what a former attempt held elsewhere. What it lost in between is not there any more. */
  async adopt({ runId }: TaskRunner, tasks: readonly HeldTask[], ofMessage: string | undefined): Promise<void> {
    const { client, clock, guard } = this.options;
    for (const { key, token } of tasks) {
      if (this.runs.get(runId)?.has(key) === true) continue;
      const since = clock.monotonic();
      const renewed = await this.unlessUnavailable(undefined, () =>
        client.renew(key, { token }, { withinMs: guard.answerWithinMs }),
      );
      if (renewed === 'unavailable' || renewed.kind !== 'renewed') continue;
      const ttlMs = Math.max(TASK_LIMITS.minTtlMs, renewed.expiresAt - clock.now());
      const held = this.hold(runId, { key, token, ttlMs, since, startedAt: clock.now() }, key === ofMessage, undefined);
      held.state = 'failed';
      held.error = FORMER_ATTEMPT;
    }
  }

  /** Gets a task for a run. Rejects with `RetryLaterError` when nobody can say now. */
  async take(run: TaskRunner, key: string, options: TaskOptions, isOfMessage = false): Promise<Taken> {
    const { client, clock, newRequestId, guard } = this.options;
    await this.releasing.get(key)?.catch(() => {});
    const mine = this.runs.get(run.runId)?.get(key);
    if (mine !== undefined && !mine.holding.lost.aborted) return { kind: 'held', held: mine };
    if (mine !== undefined) this.forget(run.runId, mine);
    const { whenUnavailable, meta, ...others } = options;
    const { ttlMs = guard.ttlMs, stale = guard.stale } = options;
    const since = clock.monotonic();
    const request: AcquireRequest = { requestId: newRequestId(), ...run, ...others, ttlMs, stale };
    if (meta !== undefined) request.meta = meta as NonNullable<AcquireRequest['meta']>;
    const answer = await this.unlessUnavailable(whenUnavailable, () =>
      client.acquire(key, request, { withinMs: guard.answerWithinMs }),
    );
    if (answer === 'unavailable') return { kind: 'unguarded' };
    if (answer.kind !== 'acquired') return this.conflict(key, answer);
    const { token, startedAt } = answer;
    const held = this.hold(run.runId, { key, token, ttlMs, since, startedAt }, isOfMessage, whenUnavailable);
    return { kind: 'held', held };
  }

  /** `turn.tasks.run`. */
  async run<Result>(
    run: TaskRunner,
    key: string,
    fn: (held: HeldTaskView) => Promise<Result> | Result,
    { signal, ...options }: TaskOptions & { readonly signal: AbortSignal },
  ): Promise<TaskRun<Result>> {
    const taken = await this.take(run, key, options);
    if (taken.kind === 'unguarded') return { kind: 'ran', result: await fn({ key, signal }) };
    if (taken.kind === 'done') {
      const { runId, result } = taken;
      return { kind: 'done', runId, ...(result === undefined ? {} : { result }) };
    }
    if (taken.kind !== 'held') return taken;
    const { held } = taken;
    if (held.state === 'working') return this.busyWithIt(run, held);
    const { holding } = held;
    held.state = 'working';
    let result: Result;
    try {
      result = await fn({ key, token: holding.token, signal: AbortSignal.any([signal, holding.lost]) });
    } catch (error) {
      held.state = 'failed';
      held.error = describeThrown(error);
      throw error;
    }
    held.state = 'idle';
    // It was taken away, or its turn has ended: whatever it came to counts for nothing.
    if (holding.lost.aborted) throw holding.lost.reason;
    if (held.isOfMessage || this.runs.get(run.runId)?.get(key) !== held) return { kind: 'ran', result };
    const kept = keepable(result);
    if (kept === 'too large') this.options.log.warn({ key }, 'what a task answered is too large to be kept');
    const answer = await this.release(run.runId, held, {
      status: 'succeeded',
      ...(kept === undefined || kept === 'too large' ? {} : { result: kept as NonNullable<ReleaseRequest['result']> }),
    });
    if (answer === 'lost') throw new TaskLostError(key, 'somebody else has it');
    return { kind: 'ran', result };
  }

  /** Before the record of a run's end: what failed is told first. Resolves within a bound, whether or not somebody answered. */
  async beforeEnd(runId: string, end: RunEnd, isLeaked: boolean): Promise<void> {
    const failed = [...(this.runs.get(runId)?.values() ?? [])].filter(
      (held) => statusOf(held, end, isLeaked) === 'failed',
    );
    await Promise.all(
      failed.map((held) => {
        const error = held.isOfMessage
          ? end.error
          : (held.error ?? (held.state === 'working' ? UNFINISHED : end.error));
        const status = held.isOfMessage && end.status === 'timed_out' ? 'timed_out' : 'failed';
        return this.release(runId, held, { status, ...(error === undefined ? {} : { error }) });
      }),
    );
  }

  /** Its record stands: what is left is free. */
  afterEnd(runId: string, { status }: RunEnd): void {
    for (const held of this.runs.get(runId)?.values() ?? []) {
      void this.release(runId, held, { status: status === 'succeeded' ? 'succeeded' : 'cancelled' });
    }
  }

  /** Whoever still works under them has not stopped when it was asked to: nobody goes on with these. */
  fail(runId: string): void {
    void this.beforeEnd(runId, { status: 'failed', error: UNFINISHED }, true);
  }

  /** The work under them was cut and has stopped: they are free. */
  interrupt(runId: string): void {
    for (const held of this.runs.get(runId)?.values() ?? []) void this.release(runId, held, { status: 'interrupted' });
  }

  /** Somebody else goes on with them, or nobody. */
  letGo(runId: string): void {
    for (const held of [...(this.runs.get(runId)?.values() ?? [])]) this.forget(runId, held);
  }

  /** A run that this process never had in work has come to its end: its message's task, whoever held it, is failed. */
  async failForeign(run: TaskRunner, key: string, error: TaskError): Promise<void> {
    const { client, guard, log } = this.options;
    try {
      const request = { by: 'worker', runId: run.runId, status: 'failed' as const, error };
      await client.end(key, request, { withinMs: guard.answerWithinMs });
    } catch (problem) {
      log.error(
        { key, error: String(problem) },
        'a task whose turn ended dead could not be failed: it ends by its time',
      );
    }
  }

  close(): void {
    this.isClosed = true;
    for (const runId of [...this.runs.keys()]) this.letGo(runId);
  }

  private hold(
    runId: string,
    of: { key: string; token: number; ttlMs: number; since: number; startedAt: number },
    isOfMessage: boolean,
    chosen: 'closed' | 'open' | undefined,
  ): Held {
    const { client, clock, guard, log } = this.options;
    const { startedAt, ...holding } = of;
    const whenUnavailable = chosen ?? guard.whenUnavailable;
    const held: Held = {
      holding: new TaskHolding({ ...holding, client, clock, log, whenUnavailable }),
      ...{ startedAt, isOfMessage, state: 'idle' },
    };
    const ofRun = this.runs.get(runId) ?? new Map<string, Held>();
    this.runs.set(runId, ofRun.set(of.key, held));
    return held;
  }

  /** Its own run is at work under another request: of a former attempt, whose end has to be waited for. */
  private conflict<Answer extends Exclude<AcquireAnswer, { kind: 'acquired' }>>(key: string, answer: Answer): Answer {
    if (answer.kind !== 'already_running' || !answer.own) return answer;
    const retryAfterMs = Math.max(0, answer.expiresAt - this.options.clock.now()) + AFTER_EXPIRY_MS;
    const message = `task ${JSON.stringify(key)} is still held by a former attempt of this turn`;
    throw new RetryLaterError({ retryAfterMs, message });
  }

  private busyWithIt({ runId, owner }: TaskRunner, { startedAt, holding }: Held): TaskConflict {
    void holding;
    return { kind: 'already_running', runId, owner, startedAt, expiresAt: startedAt, own: true };
  }

  private async unlessUnavailable<T>(
    chosen: 'closed' | 'open' | undefined,
    ask: () => Promise<T>,
  ): Promise<T | 'unavailable'> {
    const { guard, log } = this.options;
    try {
      return await ask();
    } catch (error) {
      // Only our own error says that nobody answered; anything else is a fault that has to be seen.
      if (!(error instanceof RetryLaterError) || (chosen ?? guard.whenUnavailable) === 'closed') throw error;
      log.warn({ error: error.message }, 'a turn goes on without a guard');
      return 'unavailable';
    }
  }

  /** Within a bound; then it goes on beside everything else, until somebody has heard it. */
  private async release(runId: string, held: Held, how: Omit<ReleaseRequest, 'token'>): Promise<'released' | 'lost'> {
    const { holding } = held;
    const { key } = holding;
    this.forget(runId, held, false);
    const { answerWithinMs } = this.options.guard;
    const releasing = holding.release(how, answerWithinMs);
    const followed = releasing
      .catch(() => {})
      .finally(() => this.releasing.get(key) === followed && this.releasing.delete(key));
    this.releasing.set(key, followed);
    try {
      return (await releasing).kind === 'released' ? 'released' : 'lost';
    } catch {
      if (this.isClosed) holding.letGo();
      else void holding.releaseAtLast(how);
      return 'released';
    }
  }

  private forget(runId: string, held: Held, letsGo = true): void {
    if (letsGo) held.holding.letGo();
    const ofRun = this.runs.get(runId);
    if (ofRun?.get(held.holding.key) === held) ofRun.delete(held.holding.key);
    if (ofRun?.size === 0) this.runs.delete(runId);
  }
}

function statusOf(
  { isOfMessage, state }: Held,
  { status }: RunEnd,
  isLeaked: boolean,
): 'succeeded' | 'cancelled' | 'failed' {
  if (isLeaked) return 'failed';
  if (status === 'cancelled' || status === 'interrupted') return 'cancelled';
  if (status !== 'succeeded') return 'failed';
  return isOfMessage || state === 'idle' ? 'succeeded' : 'failed';
}

/** What JSON keeps of it; `undefined` = nothing. */
function keepable(result: unknown): unknown {
  try {
    const text = JSON.stringify(result) as string | undefined;
    if (text === undefined) return undefined;
    return Buffer.byteLength(text) > TASK_LIMITS.resultBytes ? 'too large' : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}
