import type { ReleaseRequest } from '#contracts';
import { failureOf, GuardRefusedError, type FailureReports, type TaskHolding } from '#guards';
import type { Logger } from '#telemetry';

/** How a holding ended, as the guard is told. */
export type HowReleased = Omit<ReleaseRequest, 'token'>;

/** The record of a turn waits for this, and with it whatever else its session has to write. */
export const LONGEST_WAIT_MS = 5_000;

/**
 * Tells the guard how holdings ended. A caller waits for that within a bound; what the guard has not heard by then is told
 * beside everything else until it has, and is held on to in the meantime. A failure is written down first, where the guard
 * looks before it heals: this process may be killed before the guard is back (G2).
 */
export class TaskReleases {
  /** Keys that are being released: whoever wants one waits for that, rather than hear of a holder that is none. */
  private readonly underWay = new Map<string, Promise<unknown>>();
  private readonly untold = new Set<TaskHolding>();
  private isClosed = false;

  constructor(
    private readonly withinMs: number,
    private readonly failures: Pick<FailureReports, 'report'>,
    private readonly log: Logger,
  ) {}

  /** Never rejects. `lost`: somebody else may have had it in the meantime. */
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

  /** Resolves when nothing of this key is being released here. */
  async whenReleased(key: string): Promise<void> {
    await this.underWay.get(key);
  }

  /** Whether one of this key is over here and nobody has heard so yet. */
  isUntold(key: string): boolean {
    for (const holding of this.untold) if (holding.key === key) return true;
    return false;
  }

  /** What is untold by then ends by its time. */
  close(): void {
    this.isClosed = true;
    for (const holding of this.untold) holding.letGo();
    this.untold.clear();
  }

  /** What the guard does not take as it is it would never take, and the task would be held for ever. */
  private acceptable(how: HowReleased, error: unknown, key: string): HowReleased {
    if (!(error instanceof GuardRefusedError)) return how;
    this.log.error(
      { key, error: error.message },
      'what is said of the end of a task is refused, only its status is told',
    );
    return { status: how.status };
  }

  private async reportFailure(runId: string, { key, token }: TaskHolding, how: HowReleased): Promise<void> {
    const failure = failureOf({ runId, token }, how);
    if (failure === undefined) return;
    await this.failures.report(key, failure).catch((problem: unknown) => {
      this.log.error(
        { key, error: String(problem) },
        'a failed task could neither be told to the guard nor written down: should this process end now, it is free',
      );
    });
  }

  private async releaseAtLast(holding: TaskHolding, how: HowReleased): Promise<void> {
    if (this.isClosed) return holding.letGo();
    await holding.releaseAtLast(how);
    this.untold.delete(holding);
  }
}
