import { LanekeeperError, type Clock, type ReleaseAnswer, type ReleaseRequest } from '#contracts';
import type { Logger } from '#telemetry';
import { GuardRefusedError, type GuardClient } from './guard.client.js';

export interface TaskHoldingOptions {
  readonly client: Pick<GuardClient, 'renew' | 'release'>;
  readonly key: string;
  readonly token: number;
  readonly ttlMs: number;
  /** By `clock.monotonic()`: the sending of the request from which its time counts. */
  readonly since: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** `open`: the work continues while no guard answers, though another run may then get the task - default closed. */
  readonly whenUnavailable?: 'closed' | 'open';
}

/** The work has to stop: another run may have the task now. */
export class TaskLostError extends LanekeeperError {
  constructor(key: string, why: string) {
    super('task_lost', `task ${JSON.stringify(key)} is not held any more (${why}): stop, another run may have it`);
  }
}

/** Renewals per time to live: two may be lost. */
const RENEWALS = 3;
const AGAIN_MS = 1_000;
/** Timers stand still while the machine sleeps, and do not notice a change of the wall clock: so we check. */
const CHECK_MS = 1_000;

/**
 * A task that this process holds:
 *
 *   held --renewed in time--> held
 *   held --refused, or its time is over by our own clock--> lost     (`lost` aborts; the work under it has to stop)
 *   held, lost --release--> releasing --answered--> over             (its work is done: nothing can be lost any more)
 *   held, lost, releasing --letGo--> over                            another process continues with its token
 *
 * Time counts from before a request was sent and by the clock that advanced more, so that no work continues under a holding
 * that the guard has given to another run (G1): a process that was paused notices the loss when it resumes.
 */
export class TaskHolding {
  private readonly controller = new AbortController();
  private validUntil: { readonly monotonic: number; readonly wall: number };
  private cancelRenewal = (): void => {};
  private cancelCheck = (): void => {};
  private endPause = (): void => {};
  private isReleasing = false;
  private isRenewed = true;
  private isOver = false;

  constructor(private readonly options: TaskHoldingOptions) {
    const { clock, since, ttlMs } = options;
    const age = clock.monotonic() - since;
    this.validUntil = { monotonic: since + ttlMs, wall: clock.now() - age + ttlMs };
    this.renewLater(ttlMs / RENEWALS - age);
    if (options.whenUnavailable !== 'open') this.checkLater();
  }

  get key(): string {
    return this.options.key;
  }

  get token(): number {
    return this.options.token;
  }

  /** As far as this process knows: ms since the epoch. */
  get expiresAt(): number {
    return this.validUntil.wall;
  }

  /** Aborts with `TaskLostError` when the task is not held any more. */
  get lost(): AbortSignal {
    return this.controller.signal;
  }

  /** Tells the guard how it ended. Rejects when the guard did not answer; it may then be called again. */
  async release(how: Omit<ReleaseRequest, 'token'>, withinMs?: number): Promise<ReleaseAnswer> {
    const { client, key, token } = this.options;
    this.isReleasing = true;
    const answer = await client.release(key, { token, ...how }, withinMs === undefined ? {} : { withinMs });
    this.letGo();
    return answer;
  }

  /**
   * Like `release`, repeated until there is an answer, however long that takes: a failed task must not run again only because
   * the guard was away.
   */
  async releaseAtLast(how: Omit<ReleaseRequest, 'token'>): Promise<void> {
    while (!this.isOver) {
      try {
        await this.release(how);
        return;
      } catch (error) {
        const isFinal = error instanceof GuardRefusedError;
        const problem = { key: this.key, error: String(error) };
        this.options.log.warn(problem, isFinal ? 'a task cannot be released' : 'a task is not released yet');
        if (isFinal) return this.letGo();
      }
      if (!this.isOver) await this.pause();
    }
  }

  /** Lets its time expire; it may still be released until then. */
  renewNoMore(): void {
    this.cancelTimers();
    this.isRenewed = false;
  }

  /** Stops renewing, and reports nothing: another process continues with it, or its time expires. */
  letGo(): void {
    this.isOver = true;
    this.cancelTimers();
    this.endPause();
  }

  private renewLater(delayMs: number): void {
    this.cancelRenewal();
    if (this.isOver || this.lost.aborted || !this.isRenewed) return;
    this.cancelRenewal = this.options.clock.after(Math.max(0, delayMs), () => void this.renew());
  }

  private async renew(): Promise<void> {
    const { client, key, token, ttlMs, clock } = this.options;
    if (this.isTimeOver() && this.options.whenUnavailable !== 'open') return this.lose('it was not renewed in time');
    const sentAt = { monotonic: clock.monotonic(), wall: clock.now() };
    try {
      const answer = await client.renew(key, { token });
      if (this.isOver) return;
      if (answer.kind === 'not_held') return this.lose(`it is ${answer.state}`);
      this.validUntil = { monotonic: sentAt.monotonic + ttlMs, wall: sentAt.wall + ttlMs };
      this.renewLater(ttlMs / RENEWALS - (clock.monotonic() - sentAt.monotonic));
    } catch (error) {
      this.options.log.warn({ key, error: String(error) }, 'a task could not be renewed, trying again');
      this.renewLater(Math.min(AGAIN_MS, ttlMs / RENEWALS));
    }
  }

  /** Separate from renewals, one of which may be waiting for its answer when the time is over. */
  private checkLater(): void {
    const { clock } = this.options;
    const left = Math.max(0, this.validUntil.monotonic - clock.monotonic());
    this.cancelCheck = clock.after(Math.min(left, CHECK_MS), () => {
      if (this.isTimeOver()) this.lose('it was not renewed in time');
      else this.checkLater();
    });
  }

  private isTimeOver(): boolean {
    const { clock } = this.options;
    return clock.monotonic() >= this.validUntil.monotonic || clock.now() >= this.validUntil.wall;
  }

  private lose(why: string): void {
    if (this.isOver || this.lost.aborted) return;
    this.cancelTimers();
    if (this.isReleasing) return;
    this.options.log.warn({ key: this.key, why }, 'a task is lost');
    this.controller.abort(new TaskLostError(this.key, why));
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.options.clock.after(AGAIN_MS, resolve);
      this.endPause = () => (cancel(), resolve());
    });
  }

  private cancelTimers(): void {
    this.cancelRenewal();
    this.cancelCheck();
  }
}
