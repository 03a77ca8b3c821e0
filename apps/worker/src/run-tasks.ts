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
} from '#contracts';
import { TaskHolding, TaskLostError, type GuardClient } from '#guards';
import type { Logger } from '#telemetry';
import { FORMER_ATTEMPT, keepable, releaseOf, type Held, type RunEnd } from './held-task.js';

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

export type Taken =
  | { readonly kind: 'held'; readonly held: Held }
  /** Nobody could be asked, and that is what was chosen for this case. */
  | { readonly kind: 'unguarded' }
  | Exclude<AcquireAnswer, { readonly kind: 'acquired' }>;

const NONE: readonly Held[] = [];
/** Outcomes after which nobody has to approve the next one. */
const FREES: ReadonlySet<ReleaseRequest['status']> = new Set(['succeeded', 'cancelled', 'interrupted']);
/** Behind the end of a holding of one's own run: clocks differ a little. */
const AFTER_EXPIRY_MS = 100;

export class RunTasks {
  private readonly runs = new Map<string, Map<string, Held>>();
  /** Keys that are being released here: whoever wants one waits for that, rather than hear of a holder that is none. */
  private readonly releasing = new Map<string, Promise<unknown>>();
  /** Requests of runs that came to no answer, by run and key: what was asked for may have been done. */
  private readonly unclear = new Map<string, Map<string, string>>();
  private isClosed = false;

  constructor(private readonly options: RunTasksOptions) {}

  /** It holds a task, or may without knowing. */
  holdsAny(runId: string): boolean {
    return this.runs.has(runId) || this.unclear.has(runId);
  }

  /** Tasks that the run holds on to for its next attempt. */
  heldBy(runId: string): HeldTask[] {
    return this.all(runId).flatMap(({ holding: { key, token, lost } }) => (lost.aborted ? [] : [{ key, token }]));
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
    const { clock, guard } = this.options;
    await this.whenReleased(key);
    const mine = this.runs.get(run.runId)?.get(key);
    if (mine !== undefined && !mine.holding.lost.aborted) return { kind: 'held', held: mine };
    if (mine !== undefined) this.forget(run.runId, mine);
    const { whenUnavailable, ttlMs = guard.ttlMs } = options;
    const since = clock.monotonic();
    const answer = await this.unlessUnavailable(whenUnavailable, () => this.acquire(run, key, { ...options, ttlMs }));
    if (answer === 'unavailable') return { kind: 'unguarded' };
    if (answer.kind !== 'acquired') return this.conflict(run.runId, key, answer);
    const { token, startedAt } = answer;
    const held = this.hold(run.runId, { key, token, ttlMs, since, startedAt }, isOfMessage, whenUnavailable);
    return { kind: 'held', held };
  }

  /**
   * Asks the guard. A request without an answer may have been granted: the same run asks with the same `requestId` again, or
   * it would meet its own holding, and wait for the end of that.
   */
  private async acquire(run: TaskRunner, key: string, options: TaskOptions): Promise<AcquireAnswer> {
    const { client, newRequestId, guard } = this.options;
    const { whenUnavailable: _whenUnavailable, meta, ...others } = options;
    const ofRun = this.unclear.get(run.runId) ?? new Map<string, string>();
    const former = ofRun.get(key);
    const requestId = former ?? newRequestId();
    const request: AcquireRequest = { requestId, ...run, stale: guard.stale, ...others };
    if (meta !== undefined) request.meta = meta as NonNullable<AcquireRequest['meta']>;
    const within = { withinMs: guard.answerWithinMs };
    this.unclear.set(run.runId, ofRun.set(key, requestId));
    const answer = await client.acquire(key, request, within);
    // Granted some time ago, it may soon be over.
    const isOld = former !== undefined && answer.kind === 'acquired';
    const isOurs = !isOld || (await client.renew(key, { token: answer.token }, within)).kind === 'renewed';
    ofRun.delete(key);
    if (ofRun.size === 0) this.unclear.delete(run.runId);
    return isOurs ? answer : this.acquire(run, key, options);
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
      held.state = 'idle';
    } catch (error) {
      held.state = 'failed';
      held.error = describeThrown(error);
      throw error;
    } finally {
      if (held.isCut) this.interrupt(run.runId);
    }
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
    await Promise.all(
      this.all(runId).map((held) => {
        const how = releaseOf(held, end, isLeaked);
        return FREES.has(how.status) ? undefined : this.release(runId, held, how);
      }),
    );
  }

  /** Its record stands: what is left is free. */
  afterEnd(runId: string, end: RunEnd): void {
    this.giveUpUnclear(runId);
    for (const held of this.all(runId)) void this.release(runId, held, releaseOf(held, end, false));
  }

  /** The work under them was cut: they are free as soon as it has stopped. */
  interrupt(runId: string): void {
    // Whoever runs it again asks under the same run: what that one gets must not be ended here.
    this.unclear.delete(runId);
    for (const held of this.all(runId)) {
      held.isCut = true;
      if (held.state !== 'working') void this.release(runId, held, { status: 'interrupted' });
    }
  }

  /** Somebody else goes on with them, or nobody. */
  letGo(runId: string): void {
    this.unclear.delete(runId);
    for (const held of this.all(runId)) this.forget(runId, held);
  }

  /** Resolves when nothing of this key is being released here. */
  async whenReleased(key: string): Promise<void> {
    await this.releasing.get(key);
  }

  close(): void {
    this.isClosed = true;
    for (const runId of [...this.runs.keys()]) this.letGo(runId);
    this.unclear.clear();
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
  private conflict<Answer extends Exclude<AcquireAnswer, { kind: 'acquired' }>>(
    runId: string,
    key: string,
    answer: Answer,
  ): Answer {
    // Of the turn itself it is another call, and waiting would be for oneself.
    const isMine = this.runs.get(runId)?.has(key) === true;
    if (answer.kind !== 'already_running' || !answer.own || isMine) return answer;
    const retryAfterMs = Math.max(0, answer.expiresAt - this.options.clock.now()) + AFTER_EXPIRY_MS;
    const message = `task ${JSON.stringify(key)} is still held by a former attempt of this turn`;
    throw new RetryLaterError({ retryAfterMs, message });
  }

  private busyWithIt({ runId, owner }: TaskRunner, { startedAt, holding }: Held): TaskConflict {
    return { kind: 'already_running', runId, owner, startedAt, expiresAt: holding.expiresAt, own: true };
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

  /** What may have been granted without anybody knowing must not be held until its time is over. */
  private giveUpUnclear(runId: string): void {
    const { client, log } = this.options;
    const keys = [...(this.unclear.get(runId)?.keys() ?? [])];
    this.unclear.delete(runId);
    for (const key of keys) {
      client.end(key, { by: 'worker', runId }).catch((error: unknown) => {
        log.warn({ key, error: String(error) }, 'a task that may be held is not given up: it ends by its time');
      });
    }
  }

  private all(runId: string): readonly Held[] {
    const held = this.runs.get(runId);
    return held === undefined ? NONE : [...held.values()];
  }

  private forget(runId: string, held: Held, letsGo = true): void {
    if (letsGo) held.holding.letGo();
    const ofRun = this.runs.get(runId);
    if (ofRun?.get(held.holding.key) === held) ofRun.delete(held.holding.key);
    if (ofRun?.size === 0) this.runs.delete(runId);
  }
}
