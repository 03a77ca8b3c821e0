import type { Clock, EndRequest, HeldTask, TaskError } from '#contracts';
import { GuardRefusedError, type FailureReports, type GuardClient } from '#guards';
import type { Logger } from '#telemetry';
import { LONGEST_WAIT_MS } from './task-releases.js';

export interface HoldingsElsewhereOptions {
  readonly client: Pick<GuardClient, 'release' | 'end'>;
  readonly failures: Pick<FailureReports, 'report'>;
  readonly clock: Clock;
  /** Timeout for an answer of the guard - ms. */
  readonly withinMs: number;
  /** This worker, named in the request. */
  readonly worker: string;
  readonly log: Logger;
}

const AGAIN_MS = 1_000;

/**
 * Holdings of this worker's runs that have no work in this process: a dead worker acquired them, or only a record names
 * them.
 */
export class HoldingsElsewhere {
  private readonly pauses = new Set<() => void>();
  private isClosed = false;

  constructor(private readonly options: HoldingsElsewhereOptions) {}

  /**
   * Marks a task as failed when its run failed and this worker does not have its token. If only `ttlMs` ended the
   * holding, the task would be free (G2). Resolves within a bound. Retries in the background until the guard has
   * answered. Never rejects.
   */
  async fail(runId: string, key: string, error: TaskError | undefined): Promise<void> {
    const request = { by: this.options.worker, runId, status: 'failed' as const };
    const whole = error === undefined ? request : { ...request, error };
    if (await this.isHeard(key, whole)) return;
    void this.failAtLast(key, whole);
    // This process may be killed before the guard is back, and no other process would report the failure (G2).
    await this.options.failures.report(key, { runId, status: 'failed', error }).catch((problem: unknown) => {
      this.options.log.error({ key, error: String(problem) }, 'writing down the task failure of a dead turn failed');
    });
  }

  /** The run was cancelled while it waited for its next attempt. */
  release(tasks: readonly HeldTask[]): void {
    for (const { key, token } of tasks) {
      this.options.client.release(key, { token, status: 'cancelled' }).catch((error: unknown) => {
        this.options.log.warn({ key, error: String(error) }, 'releasing a task failed; it ends after its ttlMs');
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
      log.error({ key, error: String(problem) }, 'reporting the failed task of a dead turn to the guard failed');
      if (!isRefused || request.error === undefined) return isRefused;
      // The guard refused the error text and would always refuse it. Send the status alone.
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
