import type { Clock, EndRequest, HeldTask, TaskError } from '#contracts';
import { GuardRefusedError, type FailureReports, type GuardClient } from '#guards';
import type { Logger } from '#telemetry';
import { LONGEST_WAIT_MS } from './task-releases.js';

export interface HoldingsElsewhereOptions {
  readonly client: Pick<GuardClient, 'release' | 'end'>;
  readonly failures: Pick<FailureReports, 'report'>;
  readonly clock: Clock;
  /** How long an answer is waited for - ms. */
  readonly withinMs: number;
  /** Whose word it is. */
  readonly worker: string;
  readonly log: Logger;
}

const AGAIN_MS = 1_000;

/** Holdings of this worker's runs that nothing here works under: a worker that is gone had them, or only a record knows of them. */
export class HoldingsElsewhere {
  private readonly pauses = new Set<() => void>();
  private isClosed = false;

  constructor(private readonly options: HoldingsElsewhereOptions) {}

  /**
   * Its run has come to a bad end, and nobody has its token: ended by its time, it would be free (G2). Resolves within a bound,
   * and goes on beside everything else until somebody has heard it. Never rejects.
   */
  async fail(runId: string, key: string, error: TaskError | undefined): Promise<void> {
    const request = { by: this.options.worker, runId, status: 'failed' as const };
    const whole = error === undefined ? request : { ...request, error };
    if (await this.isHeard(key, whole)) return;
    void this.failAtLast(key, whole);
    // This process may be killed before the guard is back, and no other one would tell it (G2).
    await this.options.failures.report(key, { runId, status: 'failed', error }).catch((problem: unknown) => {
      this.options.log.error({ key, error: String(problem) }, 'the failure of a dead turn could not be written down');
    });
  }

  /** Its run was cancelled while it waited for its next attempt. */
  release(tasks: readonly HeldTask[]): void {
    for (const { key, token } of tasks) {
      this.options.client.release(key, { token, status: 'cancelled' }).catch((error: unknown) => {
        this.options.log.warn({ key, error: String(error) }, 'a task could not be released: it ends by its time');
      });
    }
  }

  close(): void {
    this.isClosed = true;
    for (const end of this.pauses) end();
  }

  private async failAtLast(key: string, request: EndRequest): Promise<void> {
    do await this.pause();
    while (!this.isClosed && !(await this.isHeard(key, request)));
  }

  private async isHeard(key: string, request: EndRequest): Promise<boolean> {
    const { client, withinMs, log } = this.options;
    try {
      await client.end(key, request, { withinMs: Math.min(withinMs, LONGEST_WAIT_MS) });
      return true;
    } catch (problem) {
      const isRefused = problem instanceof GuardRefusedError;
      log.error({ key, error: String(problem) }, 'the task of a dead turn could not be failed');
      if (!isRefused || request.error === undefined) return isRefused;
      // What the guard does not take of a reason it would never take.
      const { error: _refused, ...status } = request;
      return this.isHeard(key, status);
    }
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.pauses.delete(end);
        resolve();
      };
      const cancel = this.options.clock.after(AGAIN_MS, end);
      this.pauses.add(end);
      if (this.isClosed) end();
    });
  }
}
