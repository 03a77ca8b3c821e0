import { TurnOverError, type TaskOptions } from '#agents';
import {
  JsonText,
  RetryLaterError,
  type AcquireAnswer,
  type AcquireRequest,
  type Clock,
  type HeldTask,
  type StalePolicy,
} from '#contracts';
import type { GuardClient } from '#guards';
import type { Logger } from '#telemetry';
import type { Held, TaskRunner } from './held-task.js';
import { FORMER_FAILED, INTERRUPTED, type RunHoldings } from './run-holdings.js';
import { UnclearRequests } from './unclear-requests.js';

/**
 * How runs of this worker acquire tasks from the guard. `run-tasks` has the states of a holding.
 *
 * G4: each attempt has its own token, so late writes of an earlier attempt can be told apart.
 *
 * An attempt that is over acquires nothing. If the guard's answer comes too late, the task is given back.
 */

export interface TaskGrantsOptions {
  readonly client: Pick<GuardClient, 'acquire' | 'renew' | 'end'>;
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

type Taken =
  | { readonly kind: 'held'; readonly held: Held }
  /** No guard answered, and the settings allow to continue without one. */
  | { readonly kind: 'unguarded' }
  | Exclude<AcquireAnswer, { readonly kind: 'acquired' }>;

/** Extra wait after the end of a holding of the same run, because clocks differ a little. */
const AFTER_EXPIRY_MS = 100;
/**
 * Interval to look again for work that was told to stop, and for a holding that should be over by this host's clock.
 */
const LOOK_AGAIN_MS = 1_000;

export class TaskGrants {
  /** Requests in progress. Another call for the same task of the same run waits for the result. */
  private readonly asking = new Map<string, Promise<unknown>>();
  private readonly unclear: UnclearRequests;
  private isClosed = false;

  constructor(
    private readonly options: TaskGrantsOptions,
    private readonly holdings: RunHoldings,
  ) {
    this.unclear = new UnclearRequests(options.newRequestId);
  }

  /**
   * Continues with tasks that an earlier attempt held elsewhere. A holding that was lost meanwhile is dropped. A
   * holding that no guard can confirm is kept as unconfirmed, so that the next attempt still knows of it.
   */
  async adopt(run: TaskRunner, tasks: readonly HeldTask[], ofMessage?: { key: string; ttlMs?: number }): Promise<void> {
    const { clock, guard } = this.options;
    const { runId } = run;
    const unheard = tasks.flatMap(({ key, token, failures = 0 }) => {
      const mine = this.holdings.find(runId, key);
      if (mine !== undefined) return mine.confirmedFor === undefined ? [mine] : [];
      const isOfMessage = key === ofMessage?.key;
      const ttlMs = (isOfMessage ? ofMessage?.ttlMs : undefined) ?? guard.ttlMs;
      const times = { ttlMs, since: clock.monotonic(), startedAt: clock.now() };
      const unknown = { confirmedFor: undefined, gotFor: undefined, whenUnavailable: undefined, failures };
      return [this.holdings.holdFormer(runId, { key, token, ...times, isOfMessage, ...unknown })];
    });
    const heard = await Promise.allSettled(unheard.map((held) => this.hear(run, held)));
    for (const one of heard) if (one.status === 'rejected') throw one.reason;
  }

  /** Acquires a task for a run. Rejects with `RetryLaterError` when no guard answers. */
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

  /**
   * The run ended. Tasks that the guard may have granted without our knowing must not stay held until their `ttlMs`.
   */
  giveUpUnclear(runId: string): void {
    const { client, log } = this.options;
    for (const { key, isNext } of this.unclear.forget(runId)) {
      const status = isNext ? ('failed' as const) : ('cancelled' as const);
      client.end(key, { by: 'worker', runId, status }).catch((error: unknown) => {
        log.warn({ key, error: String(error) }, 'giving up a task that may be held failed; it ends after its ttlMs');
      });
    }
  }

  /** Another worker runs it again. */
  forgetUnclear(runId: string): void {
    this.unclear.forget(runId);
  }

  close(): void {
    this.isClosed = true;
  }

  private async ask(run: TaskRunner, key: string, options: TaskOptions, isOfMessage: boolean): Promise<Taken> {
    const { clock, guard } = this.options;
    const { runId } = run;
    await this.holdings.whenReleased(key);
    this.expectGoing(run);
    const { whenUnavailable, ttlMs = guard.ttlMs } = options;
    const mine = this.standing(runId, key);
    if (mine !== undefined && !this.needsNext(mine, run, whenUnavailable)) return { kind: 'held', held: mine };
    const since = clock.monotonic();
    const failures = mine?.failures ?? this.unclear.failuresOf(runId, key);
    const answer = await this.unlessUnavailable(whenUnavailable, () =>
      this.acquire(run, key, { ...options, ttlMs }, mine),
    );
    // No guard can give this attempt its own token, and the settings allow to continue without one.
    if (answer === 'unavailable' && mine !== undefined && this.standing(runId, key) === mine && !this.isOver(run))
      return { kind: 'held', held: mine };
    // The former holding is over, or the new one replaced it.
    const isKept = mine !== undefined && this.holdings.find(runId, key) === mine;
    if (answer !== 'unavailable' && isKept) this.holdings.forget(runId, mine);
    if (answer !== 'unavailable' && answer.kind === 'acquired') {
      const { token, startedAt } = answer;
      const ofAttempt = { isOfMessage: mine?.isOfMessage ?? isOfMessage, confirmedFor: run.over, gotFor: run.over };
      const grant = { key, token, ttlMs, since, startedAt, ...ofAttempt, failures, whenUnavailable };
      if (!this.isOver(run)) return { kind: 'held', held: this.holdings.hold(runId, grant) };
      // The attempt is over and would never release the task. Work that an earlier attempt left half done still counts
      // as failed.
      if (isKept && !this.isClosed) this.holdings.holdFormer(runId, { ...grant, gotFor: undefined });
      else this.holdings.giveBack(runId, grant, mine === undefined ? INTERRUPTED : FORMER_FAILED);
      throw new TurnOverError(runId);
    }
    this.expectGoing(run);
    return answer === 'unavailable' ? { kind: 'unguarded' } : this.conflict(runId, key, answer, ttlMs);
  }

  /** What the run holds, as far as this worker knows. */
  private standing(runId: string, key: string): Held | undefined {
    const mine = this.holdings.find(runId, key);
    if (mine?.holding.lost.aborted !== true) return mine;
    this.holdings.forget(runId, mine);
    return undefined;
  }

  /**
   * Whether the run must ask for a greater token before it continues. The answer also tells whether the holding is
   * still valid: an operator may have ended it, and another run may have it by now.
   */
  private needsNext(mine: Held, run: TaskRunner, chosen: TaskOptions['whenUnavailable']): boolean {
    if (mine.work !== undefined && mine.work.by.over === run.over) return false;
    if (mine.work !== undefined) throw heldByFormer(mine.holding.key, LOOK_AGAIN_MS);
    // No guard answered a moment ago, and the run may continue without one. Do not wait again.
    if (mine.confirmedFor === undefined && (chosen ?? this.options.guard.whenUnavailable) === 'open') return false;
    return mine.gotFor !== run.over || (mine.state === 'failed' && !mine.isOfMessage);
  }

  private async acquire(
    run: TaskRunner,
    key: string,
    options: TaskOptions,
    mine: Held | undefined,
  ): Promise<AcquireAnswer> {
    const { client, guard } = this.options;
    const { runId, owner } = run;
    const { whenUnavailable: _whenUnavailable, maxAttempts: _maxAttempts, meta, ...others } = options;
    const { requestId, isRepeated } = this.unclear.ask(runId, key, mine);
    const request: AcquireRequest = { requestId, runId, owner, stale: guard.stale, ...others };
    if (mine !== undefined) request.formerToken = mine.holding.token;
    const about = JsonText.of(meta);
    if (about !== undefined) request.meta = about;
    const within = { withinMs: guard.answerWithinMs };
    const answer = await client.acquire(key, request, within);
    // The grant may be old and end soon, so renew it.
    const isOld = isRepeated && answer.kind === 'acquired';
    const isOurs = !isOld || (await client.renew(key, { token: answer.token }, within)).kind === 'renewed';
    this.unclear.answered(runId, key);
    return isOurs ? answer : this.acquire(run, key, options, undefined);
  }

  private isOver({ over }: TaskRunner): boolean {
    return this.isClosed || over.aborted;
  }

  private expectGoing(run: TaskRunner): void {
    if (this.isOver(run)) throw new TurnOverError(run.runId);
  }

  /** Asks the guard whether a holding of an earlier attempt is still valid. */
  private async hear(run: TaskRunner, held: Held): Promise<void> {
    const { client, clock, guard } = this.options;
    const { runId } = run;
    const { startedAt, ttlMs, isOfMessage, holding } = held;
    const { key, token } = holding;
    const since = clock.monotonic();
    // Send `ttlMs` again. The guard's clock says when the holding ends, and this host cannot compare it with its own.
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
      gotFor: undefined,
      failures: held.failures,
      whenUnavailable: undefined,
    };
    this.holdings.holdFormer(runId, grant);
  }

  /**
   * An earlier attempt of the same run still holds the task under another request. This attempt must wait for its end.
   * `expiresAt` is from the guard's clock, and by ours it may be long past or far away. Without a renewal no holding
   * lasts longer than `ttlMs`.
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
      // Only `RetryLaterError` means that no guard answered. Any other error is a fault and must be visible.
      if (!(error instanceof RetryLaterError) || (chosen ?? guard.whenUnavailable) === 'closed') throw error;
      log.warn({ error: error.message }, 'no guard answers; the turn continues without one');
      return 'unavailable';
    }
  }
}

function heldByFormer(key: string, retryAfterMs: number): RetryLaterError {
  const message = `task ${JSON.stringify(key)} is still held by an earlier attempt of this turn`;
  return new RetryLaterError({ retryAfterMs, message });
}
