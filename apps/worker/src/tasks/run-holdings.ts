import type { Clock, HeldTask } from '#contracts';
import { stateAfter, TaskHolding, type FailureReports, type GuardClient } from '#guards';
import type { Logger } from '#telemetry';
import { FORMER_ATTEMPT, releaseOf, releaseOfCut, type Held, type RunEnd } from './held-task.js';
import { TaskReleases, type HowReleased } from './task-releases.js';

/**
 * What runs of this worker hold, and how a holding ends:
 *
 *   idle, failed --the run ends--> released: a failure before the record (a crash in between must not free it), else after it
 *   working      --the run ends failed--> released as failed, at once
 *   any          --the run is interrupted or cancelled--> detached from the run; released when its work has stopped
 *   idle, failed --another worker continues the run--> forgotten here, not released
 */

export interface RunHoldingsOptions {
  readonly client: Pick<GuardClient, 'renew' | 'release'>;
  readonly clock: Clock;
  readonly failures: Pick<FailureReports, 'report'>;
  readonly guard: { readonly whenUnavailable: 'closed' | 'open'; readonly answerWithinMs: number };
  readonly log: Logger;
}

/** A holding as it was acquired. */
export interface Grant {
  readonly key: string;
  readonly token: number;
  readonly ttlMs: number;
  /** By `clock.monotonic()`. */
  readonly since: number;
  readonly startedAt: number;
  readonly isOfMessage: boolean;
  readonly confirmedFor: Held['confirmedFor'];
  readonly gotFor: Held['gotFor'];
  readonly failures: number;
  readonly whenUnavailable: 'closed' | 'open' | undefined;
}

const NONE: readonly Held[] = [];
export const INTERRUPTED: HowReleased = { status: 'interrupted' };
export const FORMER_FAILED: HowReleased = { status: 'failed', error: FORMER_ATTEMPT };

export class RunHoldings {
  private readonly runs = new Map<string, Map<string, Held>>();
  /** Detached holdings whose work still runs, with the runs that had them. */
  private readonly cut = new Map<Held, string>();
  private readonly releases: TaskReleases;
  private isClosed = false;

  constructor(private readonly options: RunHoldingsOptions) {
    this.releases = new TaskReleases(options.guard.answerWithinMs, options.failures, options.log);
  }

  holdsAny(runId: string): boolean {
    return this.runs.has(runId);
  }

  find(runId: string, key: string): Held | undefined {
    return this.runs.get(runId)?.get(key);
  }

  /** Tasks that the run holds now. */
  heldBy(runId: string): HeldTask[] {
    return this.all(runId).flatMap(taskOf);
  }

  /** Tasks that the run keeps for its next attempt, on this worker or another. Tasks with running work are left out. */
  keptBy(runId: string): HeldTask[] {
    return this.all(runId)
      .filter(({ state }) => state !== 'working')
      .flatMap(taskOf);
  }

  /** Whether a former holding of this run ends soon: its work is stopping, or its release is not confirmed yet. */
  isStopping(runId: string, key: string): boolean {
    if (this.releases.isUntold(key)) return true;
    return [...this.cut].some(([{ holding }, of]) => of === runId && holding.key === key);
  }

  hold(runId: string, grant: Grant): Held {
    const held = this.make(grant);
    const ofRun = this.runs.get(runId) ?? new Map<string, Held>();
    this.runs.set(runId, ofRun.set(grant.key, held));
    return held;
  }

  /** Like `hold`, for a holding of an earlier attempt. */
  holdFormer(runId: string, grant: Grant): Held {
    const former = { state: 'failed' as const, error: FORMER_ATTEMPT, hasFailedItself: true };
    return Object.assign(this.hold(runId, grant), former);
  }

  /** The answer came after the attempt was over. No work ran under this holding. */
  giveBack(runId: string, grant: Grant, how: HowReleased): void {
    void this.releases.release(runId, this.make(grant).holding, how);
  }

  release(runId: string, held: Held, how: HowReleased): Promise<'released' | 'lost'> {
    this.remove(runId, held);
    return this.releases.release(runId, held.holding, how);
  }

  /**
   * Called before the record of a run's end. Releases failed tasks first. Resolves within a bound, with or without an
   * answer.
   */
  async beforeEnd(runId: string, end: RunEnd, isLeaked: boolean): Promise<void> {
    await Promise.all(
      this.all(runId).map((held) => {
        const how = releaseOf(held, end, isLeaked);
        return stateAfter(how.status) === 'failed' ? this.release(runId, held, how) : undefined;
      }),
    );
  }

  /** Called after the record is stored. Releases the remaining tasks. */
  afterEnd(runId: string, end: RunEnd): void {
    for (const held of this.all(runId)) this.releaseStopped(runId, held, releaseOf(held, end, false), undefined);
  }

  /**
   * Detaches all holdings of the run, so that its next attempt here does not get them. Each is released when its work
   * has stopped. `handler` resolves when the handler has stopped.
   */
  interrupt(runId: string, handler: Promise<unknown> | undefined): void {
    for (const held of this.all(runId)) this.releaseStopped(runId, held, releaseOfCut(held), handler);
  }

  /** Another worker continues the run with these holdings. Holdings with running work are released when it stops. */
  letGo(runId: string): void {
    for (const held of this.all(runId)) {
      if (held.state === 'working') this.releaseStopped(runId, held, INTERRUPTED, undefined);
      else this.forget(runId, held);
    }
  }

  /** Removes a holding without telling the guard: it is lost, or another run has it. */
  forget(runId: string, held: Held): void {
    held.holding.letGo();
    this.remove(runId, held);
  }

  /** Resolves when no release of this key is running here. */
  whenReleased(key: string): Promise<void> {
    return this.releases.whenReleased(key);
  }

  /** Stops renewing. The `ttlMs` of each holding ends it. */
  close(): void {
    this.isClosed = true;
    this.releases.close();
    for (const { holding } of this.cut.keys()) holding.letGo();
    for (const [runId, ofRun] of [...this.runs]) for (const held of [...ofRun.values()]) this.forget(runId, held);
  }

  private make({ startedAt, isOfMessage, confirmedFor, gotFor, failures, whenUnavailable, ...grant }: Grant): Held {
    const { client, clock, guard, log } = this.options;
    const options = { ...grant, client, clock, log, whenUnavailable: whenUnavailable ?? guard.whenUnavailable };
    const { ttlMs } = grant;
    const holding = new TaskHolding(options);
    return { holding, startedAt, ttlMs, isOfMessage, confirmedFor, gotFor, failures, state: 'idle' };
  }

  private releaseStopped(runId: string, held: Held, how: HowReleased, handler: Promise<unknown> | undefined): void {
    this.remove(runId, held);
    const { holding, work } = held;
    if (handler === undefined && work === undefined) return void this.releases.release(runId, holding, how);
    this.cut.set(held, runId);
    // Work that never stops counts as gone: without renewals, `ttlMs` ends the holding (G3).
    holding.renewNoMore();
    void Promise.all([handler, work?.stopped]).then(() => {
      this.cut.delete(held);
      if (!this.isClosed) void this.releases.release(runId, holding, how);
    });
  }

  private all(runId: string): readonly Held[] {
    const held = this.runs.get(runId);
    return held === undefined ? NONE : [...held.values()];
  }

  private remove(runId: string, held: Held): void {
    const ofRun = this.runs.get(runId);
    if (ofRun?.get(held.holding.key) === held) ofRun.delete(held.holding.key);
    if (ofRun?.size === 0) this.runs.delete(runId);
  }
}

function taskOf({ holding: { key, token, lost }, failures }: Held): HeldTask[] {
  if (lost.aborted) return [];
  return [failures === 0 ? { key, token } : { key, token, failures }];
}
