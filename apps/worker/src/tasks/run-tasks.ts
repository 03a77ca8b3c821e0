import type { HeldTaskView, TaskOptions, TaskRun } from '#agents';
import { describeThrown, RetryLaterError, type TaskConflict } from '#contracts';
import { TaskLostError, type FailureReports, type GuardClient } from '#guards';
import { keepable, type Held, type TaskRunner } from './held-task.js';
import { RunHoldings } from './run-holdings.js';
import { endOfAttempt } from './task-attempts.js';
import { TaskGrants, type TaskGrantsOptions } from './task-grants.js';

/**
 * How turns of this worker run tasks. A failed task does not run again without approval (G2), except for its own
 * remaining attempts. Between those the run keeps holding it, and no other run gets it.
 *
 *   (none) --take, adopt--> idle --fn--> working --answers--> released as succeeded
 *                                        working --throws, last attempt--> released as failed
 *                                        working --turn timed out, or no clear answer--> released as timed out
 *                                        working --throws, attempts left--> failed, held for the next attempt
 *   failed --take, with a greater token--> idle
 *
 * `task-grants` has the requests to the guard.
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
    // Another run may have done the task too, so this result does not count.
    if (lost.aborted) {
      if (isHeld && !held.isOfMessage) this.holdings.forget(run.runId, held);
      throw lost.reason;
    }
    if (held.isOfMessage || !isHeld) return { kind: 'ran', result };
    const { isTooLarge, kept } = keepable(result);
    if (isTooLarge) this.options.log.warn({ key }, 'the result of a task is too large and is not kept');
    const answer = await this.holdings.release(run.runId, held, { status: 'succeeded', ...kept });
    if (answer === 'lost') throw new TaskLostError(key, 'another run may hold it');
    return { kind: 'ran', result };
  }

  close(): void {
    this.grants.close();
    this.holdings.close();
  }

  /** One attempt of a task. After the last one the failure is sent to the guard before the caller hears of it. */
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
      // The turn itself releases the task of its message. A lost holding needs no release.
      if (held.isOfMessage || held.holding.lost.aborted || this.holdings.find(runId, held.holding.key) !== held)
        throw error;
      const how = endOfAttempt(error, signal, held.failures + 1 >= maxAttempts);
      if (how !== undefined) await this.holdings.release(runId, held, how);
      else if (!(error instanceof RetryLaterError) && !signal.aborted) held.failures++;
      throw error;
    }
  }
}

/** Calls `fn` under a holding and stores how it ended. */
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

/** Another call of the same attempt holds the task. Waiting for it could be a deadlock. */
function busyWith({ startedAt, holding }: Held, { runId, owner }: TaskRunner): TaskConflict {
  const { expiresAt } = holding;
  return { kind: 'already_running', runId, owner, startedAt, expiresAt, own: true };
}
