import type { ReleaseRequest } from '#contracts';
import { failureOf, GuardRefusedError, type FailureReports, type TaskHolding } from '#guards';
import type { Logger } from '#telemetry';

/** How a holding ended, as sent to the guard. */
export type HowReleased = Omit<ReleaseRequest, 'token'>;

/** Longest wait. The record of a turn, and with it the whole session, waits for the release. */
export const LONGEST_WAIT_MS = 5_000;

/**
 * Tells the guard how holdings ended. A caller waits within a bound. After that, the release is repeated in the
 * background until the guard confirms it, and the task stays held meanwhile. A failure is also written down where the
 * guard looks before it heals, because this process may be killed before the guard is back (G2).
 */
export class TaskReleases {
  /**
   * Keys that are being released. A run that wants one waits, so that it does not meet a holder that is about to end.
   */
  private readonly underWay = new Map<string, Promise<unknown>>();
  private readonly untold = new Set<TaskHolding>();
  private isClosed = false;

  constructor(
    private readonly withinMs: number,
    private readonly failures: Pick<FailureReports, 'report'>,
    private readonly log: Logger,
  ) {}

  /** Never rejects. `lost`: another run may have had the task meanwhile. */
  async release(runId: string, holding: TaskHolding, how: HowReleased): Promise<'released' | 'lost'> {
    const { key } = holding;
    this.untold.add(holding);
    const asked = holding.release(how, Math.min(this.withinMs, LONGEST_WAIT_MS));
    const followed = asked
      .catch(() => {})
      .finally(() => this.underWay.get(key) === followed && this.underWay.delete(key));
    this.underWay.set(key, followed);
    try {
      const { kind } = await asked;
      this.untold.delete(holding);
      return kind === 'released' ? 'released' : 'lost';
    } catch (error) {
      const told = this.acceptable(how, error, key);
      void this.releaseAtLast(holding, told);
      await this.reportFailure(runId, holding, told);
      return 'released';
    }
  }

  /** Resolves when no release of this key is running here. */
  async whenReleased(key: string): Promise<void> {
    await this.underWay.get(key);
  }

  /** Whether a holding of this key is over here and the guard has not confirmed it yet. */
  isUntold(key: string): boolean {
    for (const holding of this.untold) if (holding.key === key) return true;
    return false;
  }

  /** Stops all retries. The `ttlMs` of each unconfirmed holding ends it. */
  close(): void {
    this.isClosed = true;
    for (const holding of this.untold) holding.letGo();
    this.untold.clear();
  }

  /** The guard refused this release and would always refuse it. Without its details the task can still be released. */
  private acceptable(how: HowReleased, error: unknown, key: string): HowReleased {
    if (!(error instanceof GuardRefusedError)) return how;
    this.log.error(
      { key, error: error.message },
      'the guard refused the details of a release; sending the status alone',
    );
    return { status: how.status };
  }

  private async reportFailure(runId: string, { key, token }: TaskHolding, how: HowReleased): Promise<void> {
    const failure = failureOf({ runId, token }, how);
    if (failure === undefined) return;
    await this.failures.report(key, failure).catch((problem: unknown) => {
      this.log.error(
        { key, error: String(problem) },
        'a task failure could neither be sent to the guard nor written down; if this process ends now, the task may run again',
      );
    });
  }

  private async releaseAtLast(holding: TaskHolding, how: HowReleased): Promise<void> {
    if (this.isClosed) return holding.letGo();
    await holding.releaseAtLast(how);
    this.untold.delete(holding);
  }
}
