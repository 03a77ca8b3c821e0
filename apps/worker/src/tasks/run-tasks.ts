import type { HeldTaskView, TaskOptions, TaskRun } from '#agents';
import { describeThrown, RetryLaterError, type TaskConflict } from '#contracts';
import { TaskLostError, type FailureReports, type GuardClient } from '#guards';
import { keepable, type Held, type TaskRunner } from './held-task.js';
import { RunHoldings } from './run-holdings.js';
import { endOfAttempt } from './task-attempts.js';
import { TaskGrants, type TaskGrantsOptions } from './task-grants.js';

/**
 * How turns of this worker get tasks and work under them. A failed task does not run again before a person approves it (G2),
 * but for the attempts that it has; then it outlives the attempt of its turn, and no other run gets it in between.
 *
 *   (none) --take, adopt--> idle --fn--> working --answers--> released as succeeded
 *                                        working --throws, the last attempt--> released as failed
 *                                        working --cut by the end of the time, or without an answer--> released as timed out
 *                                        working --throws--> failed, held on to for the next attempt
 *   failed --take, under a greater token--> idle
 *
 * How they get them, and what a guard says then, is a matter of `task-grants`.
 */

export interface RunTasksOptions extends TaskGrantsOptions {
  readonly client: Pick<GuardClient, 'acquire' | 'renew' | 'release' | 'end'>;
  readonly failures: Pick<FailureReports, 'report'>;
  readonly guard: TaskGrantsOptions['guard'] & { readonly maxAttempts: number };
}

export class RunTasks {
  readonly holdings: RunHoldings;
  readonly grants: TaskGrants;

  constructor(private readonly options: RunTasksOptions) {
    this.holdings = new RunHoldings(options);
    this.grants = new TaskGrants(options, this.holdings);
  }

  /** `turn.tasks.run`. */
  async run<Result>(
    run: TaskRunner,
    key: string,
    fn: (held: HeldTaskView) => Promise<Result> | Result,
    { signal, ...options }: TaskOptions & { readonly signal: AbortSignal },
  ): Promise<TaskRun<Result>> {
    const taken = await this.grants.take(run, key, options);
    if (taken.kind === 'unguarded') return { kind: 'ran', result: await fn({ key, signal }) };
    if (taken.kind === 'done') {
      const { runId, result } = taken;
      return { kind: 'done', runId, ...(result === undefined ? {} : { result: result.value }) };
    }
    if (taken.kind !== 'held') return taken;
    const { held } = taken;
    if (held.work !== undefined) return busyWith(held, run);
    const result = await this.attempt(run, held, () => work(run, held, fn, signal), { signal, ...options });
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

  close(): void {
    this.grants.close();
    this.holdings.close();
  }

  /** One attempt of a task of a turn: when it was the last, its failure is told before the caller hears of it. */
  private async attempt<Result>(
    { runId }: TaskRunner,
    held: Held,
    call: () => Promise<Result>,
    {
      maxAttempts = this.options.guard.maxAttempts,
      signal,
    }: Pick<TaskOptions, 'maxAttempts'> & { signal: AbortSignal },
  ): Promise<Result> {
    try {
      return await call();
    } catch (error) {
      // The turn fails the task of its message; what is lost needs no word.
      if (held.isOfMessage || held.holding.lost.aborted || this.holdings.find(runId, held.holding.key) !== held)
        throw error;
      const how = endOfAttempt(error, signal, held.failures + 1 >= maxAttempts);
      if (how !== undefined) await this.holdings.release(runId, held, how);
      else if (!(error instanceof RetryLaterError) && !signal.aborted) held.failures++;
      throw error;
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

/** It is another call of the same attempt, and waiting would be for oneself. */
function busyWith({ startedAt, holding }: Held, { runId, owner }: TaskRunner): TaskConflict {
  const { expiresAt } = holding;
  return { kind: 'already_running', runId, owner, startedAt, expiresAt, own: true };
}
