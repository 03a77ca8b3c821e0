import { TurnOverError, type HeldTaskView, type TaskOptions, type TaskRun } from '#agents';
import {
  describeThrown,
  JsonText,
  RetryLaterError,
  type AcquireAnswer,
  type AcquireRequest,
  type Clock,
  type HeldTask,
  type StalePolicy,
  type TaskConflict,
} from '#contracts';
import { TaskLostError, type FailureReports, type GuardClient } from '#guards';
import type { Logger } from '#telemetry';
import { keepable, type Held, type TaskRunner } from './held-task.js';
import { RunHoldings } from './run-holdings.js';
import { UnclearRequests } from './unclear-requests.js';

/**
 * How turns of this worker get tasks and work under them. A task outlives an attempt: it is released when its run has come to
 * its end, so that the turn's own retries happen inside one holding, and it does not run again after a failure (G2).
 *
 *   (none) --take, adopt--> idle --fn--> working --answers--> released as succeeded
 *                                        working --throws--> failed, held on to for the next attempt
 *   failed --fn of the next attempt--> working
 *
 * Nothing is got for an attempt that is over: an answer that comes too late is given back.
 */

export interface RunTasksOptions {
  readonly client: Pick<GuardClient, 'acquire' | 'renew' | 'release' | 'end'>;
  readonly failures: Pick<FailureReports, 'report'>;
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

export type Taken =
  | { readonly kind: 'held'; readonly held: Held }
  /** Nobody could be asked, and that is what was chosen for this case. */
  | { readonly kind: 'unguarded' }
  | Exclude<AcquireAnswer, { readonly kind: 'acquired' }>;

/** Behind the end of a holding of one's own run: clocks differ a little. */
const AFTER_EXPIRY_MS = 100;
/** So often is looked after what was told to stop here, and after what should be over by our own clock. */
const LOOK_AGAIN_MS = 1_000;

export class RunTasks {
  readonly holdings: RunHoldings;
  /** What runs ask for now: who wants the same for the same run waits, and finds what came of it. */
  private readonly asking = new Map<string, Promise<unknown>>();
  private readonly unclear: UnclearRequests;
  private isClosed = false;

  constructor(private readonly options: RunTasksOptions) {
    this.holdings = new RunHoldings(options);
    this.unclear = new UnclearRequests(options.newRequestId);
  }

  /**
   * Goes on with what a former attempt held elsewhere. What it lost in between is not there any more; what nobody can be
   * asked about is held on to unheard, so that the attempt after this one still knows of it.
   */
  async adopt(run: TaskRunner, tasks: readonly HeldTask[], ofMessage?: { key: string; ttlMs?: number }): Promise<void> {
    const { clock, guard } = this.options;
    const { runId } = run;
    const unheard = tasks.flatMap(({ key, token }) => {
      const mine = this.holdings.find(runId, key);
      if (mine !== undefined) return mine.confirmedFor === undefined ? [mine] : [];
      const isOfMessage = key === ofMessage?.key;
      const ttlMs = (isOfMessage ? ofMessage?.ttlMs : undefined) ?? guard.ttlMs;
      const times = { ttlMs, since: clock.monotonic(), startedAt: clock.now() };
      const unknown = { confirmedFor: undefined, whenUnavailable: undefined };
      return [this.holdings.holdFormer(runId, { key, token, ...times, isOfMessage, ...unknown })];
    });
    const heard = await Promise.allSettled(unheard.map((held) => this.hear(run, held)));
    for (const one of heard) if (one.status === 'rejected') throw one.reason;
  }

  /** Gets a task for a run. Rejects with `RetryLaterError` when nobody can say now. */
  async take(run: TaskRunner, key: string, options: TaskOptions, isOfMessage = false): Promise<Taken> {
    const id = `${run.runId}\0${key}`;
    for (let other = this.asking.get(id); other !== undefined; other = this.asking.get(id)) await other;
    const asked = this.ask(run, key, options, isOfMessage).finally(() => this.asking.delete(id));
    this.asking.set(
      id,
      asked.catch(() => {}),
    );
    return asked;
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
      return { kind: 'done', runId, ...(result === undefined ? {} : { result: result.value }) };
    }
    if (taken.kind !== 'held') return taken;
    const { held } = taken;
    if (held.work !== undefined) return busyWith(held, held.work.by, run);
    const result = await work(run, held, fn, signal);
    const isHeld = this.holdings.find(run.runId, key) === held;
    const { lost } = held.holding;
    // Somebody else may have run it too: whatever it came to counts for nothing.
    if (lost.aborted) {
      if (isHeld && !held.isOfMessage) this.holdings.forget(run.runId, held);
      throw lost.reason;
    }
    if (held.isOfMessage || !isHeld) return { kind: 'ran', result };
    const { isTooLarge, kept } = keepable(result);
    if (isTooLarge) this.options.log.warn({ key }, 'what a task answered is too large to be kept');
    const answer = await this.holdings.release(run.runId, held, { status: 'succeeded', ...kept });
    if (answer === 'lost') throw new TaskLostError(key, 'somebody else has it');
    return { kind: 'ran', result };
  }

  /** The run has ended: what it may have been granted without knowing must not be held until its time is over. */
  giveUpUnclear(runId: string): void {
    const { client, log } = this.options;
    for (const key of this.unclear.forget(runId)) {
      client.end(key, { by: 'worker', runId }).catch((error: unknown) => {
        log.warn({ key, error: String(error) }, 'a task that may be held is not given up: it ends by its time');
      });
    }
  }

  /** Somebody else runs it again. */
  forgetUnclear(runId: string): void {
    this.unclear.forget(runId);
  }

  close(): void {
    this.isClosed = true;
    this.holdings.close();
  }

  private async ask(run: TaskRunner, key: string, options: TaskOptions, isOfMessage: boolean): Promise<Taken> {
    const { clock, guard } = this.options;
    const { runId } = run;
    await this.holdings.whenReleased(key);
    this.expectGoing(run);
    await this.confirm(run, key);
    const mine = this.holdings.find(runId, key);
    if (mine !== undefined && !mine.holding.lost.aborted) return { kind: 'held', held: mine };
    if (mine !== undefined) this.holdings.forget(runId, mine);
    const { whenUnavailable, ttlMs = guard.ttlMs } = options;
    const since = clock.monotonic();
    const answer = await this.unlessUnavailable(whenUnavailable, () => this.acquire(run, key, { ...options, ttlMs }));
    if (answer !== 'unavailable' && answer.kind === 'acquired') {
      const { token, startedAt } = answer;
      const grant = { key, token, ttlMs, since, startedAt, isOfMessage, confirmedFor: run.over, whenUnavailable };
      if (!this.isOver(run)) return { kind: 'held', held: this.holdings.hold(runId, grant) };
      // Nobody would ever release it.
      this.holdings.giveBack(runId, grant);
      throw new TurnOverError(runId);
    }
    this.expectGoing(run);
    return answer === 'unavailable' ? { kind: 'unguarded' } : this.conflict(runId, key, answer, ttlMs);
  }

  /**
   * An operator may have ended what a former attempt got, and somebody else may have it by now: a renewal tells, but that may be
   * a long time away. Without an answer our own clock counts.
   */
  private async confirm(run: TaskRunner, key: string): Promise<void> {
    const mine = this.holdings.find(run.runId, key);
    // Of one from elsewhere this attempt has asked already (`adopt`).
    const isNews = mine?.confirmedFor !== undefined && mine.confirmedFor !== run.over;
    if (!isNews || mine.work !== undefined) return;
    await mine.holding.confirm(this.options.guard.answerWithinMs);
    mine.confirmedFor = run.over;
    this.expectGoing(run);
  }

  private async acquire(run: TaskRunner, key: string, options: TaskOptions): Promise<AcquireAnswer> {
    const { client, guard } = this.options;
    const { runId, owner } = run;
    const { whenUnavailable: _whenUnavailable, meta, ...others } = options;
    const { requestId, isRepeated } = this.unclear.ask(runId, key);
    const request: AcquireRequest = { requestId, runId, owner, stale: guard.stale, ...others };
    const about = JsonText.of(meta);
    if (about !== undefined) request.meta = about;
    const within = { withinMs: guard.answerWithinMs };
    const answer = await client.acquire(key, request, within);
    // Granted some time ago, it may soon be over.
    const isOld = isRepeated && answer.kind === 'acquired';
    const isOurs = !isOld || (await client.renew(key, { token: answer.token }, within)).kind === 'renewed';
    this.unclear.answered(runId, key);
    return isOurs ? answer : this.acquire(run, key, options);
  }

  private isOver({ over }: TaskRunner): boolean {
    return this.isClosed || over.aborted;
  }

  private expectGoing(run: TaskRunner): void {
    if (this.isOver(run)) throw new TurnOverError(run.runId);
  }

  /** Asks whether a holding of a former attempt still stands. */
  private async hear(run: TaskRunner, held: Held): Promise<void> {
    const { client, clock, guard } = this.options;
    const { runId } = run;
    const { startedAt, ttlMs, isOfMessage, holding } = held;
    const { key, token } = holding;
    const since = clock.monotonic();
    // Its time is said anew: when it ends by the clock of the guard tells nothing here.
    const renewed = await this.unlessUnavailable(undefined, () =>
      client.renew(key, { token, ttlMs }, { withinMs: guard.answerWithinMs }),
    );
    if (renewed === 'unavailable' || this.holdings.find(runId, key) !== held) return;
    this.holdings.forget(runId, held);
    if (renewed.kind !== 'renewed') return;
    const grant = {
      key,
      token,
      ttlMs,
      since,
      startedAt,
      isOfMessage,
      confirmedFor: run.over,
      whenUnavailable: undefined,
    };
    this.holdings.holdFormer(runId, grant);
  }

  /**
   * Its own run is at work under another request: of a former attempt, whose end has to be waited for. Its time is that of the
   * guard's clock, and by ours it may be long over, or far away: no holding lasts longer than `ttlMs` unrenewed.
   */
  private conflict<Answer extends Exclude<AcquireAnswer, { kind: 'acquired' }>>(
    runId: string,
    key: string,
    answer: Answer,
    ttlMs: number,
  ): Answer {
    if (answer.kind !== 'already_running' || !answer.own) return answer;
    const leftMs = answer.expiresAt - this.options.clock.now();
    const untilEnd = leftMs > 0 ? Math.min(leftMs, ttlMs) + AFTER_EXPIRY_MS : LOOK_AGAIN_MS;
    throw heldByFormer(key, this.holdings.isStopping(runId, key) ? LOOK_AGAIN_MS : untilEnd);
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
}

/** Calls `fn` under a holding, and keeps what became of it. */
async function work<Result>(
  by: TaskRunner,
  held: Held,
  fn: (held: HeldTaskView) => Promise<Result> | Result,
  signal: AbortSignal,
): Promise<Result> {
  const { key, token, lost } = held.holding;
  const view = { key, token, signal: AbortSignal.any([signal, lost, by.over]) };
  const working = (async () => fn(view))();
  held.state = 'working';
  held.work = { by, stopped: working.catch(() => {}) };
  try {
    const result = await working;
    held.state = 'idle';
    held.hasFailedItself = false;
    return result;
  } catch (error) {
    held.state = 'failed';
    held.error = describeThrown(error);
    held.hasFailedItself = !view.signal.aborted;
    throw error;
  } finally {
    held.work = undefined;
  }
}

/** Of the same attempt it is another call, and waiting would be for oneself; of a former one its end has to be waited for. */
function busyWith({ startedAt, holding }: Held, by: TaskRunner, { runId, owner, over }: TaskRunner): TaskConflict {
  const { key, expiresAt } = holding;
  if (by.over !== over) throw heldByFormer(key, LOOK_AGAIN_MS);
  return { kind: 'already_running', runId, owner, startedAt, expiresAt, own: true };
}

function heldByFormer(key: string, retryAfterMs: number): RetryLaterError {
  const message = `task ${JSON.stringify(key)} is still held by a former attempt of this turn`;
  return new RetryLaterError({ retryAfterMs, message });
}
