import { TurnOverError, type TaskKeeper } from '#agents';
import { sessionNames, sessionTaskScope, type InboxMessage, type SessionTokens } from '#contracts';
import { taskOfMessage, type TaskHolding, type TaskLookup, type TaskSettings } from '#guards';
import type {
  AttemptEnd,
  Batch,
  Ending,
  HoldingRun,
  AttemptFate,
  TaskPorts,
  TaskRef,
  TaskRefusal,
  TurnWork,
} from '#lanes';
import type { Logger } from '#telemetry';
import type { RunEnd, TaskRunner } from './held-task.js';
import type { HoldingsElsewhere } from './holdings-elsewhere.js';
import type { RunTasks } from './run-tasks.js';
import { refusalOf } from './task-refusal.js';

/** Whether a turn may call its handler. */
export type Admission =
  { readonly kind: 'go'; readonly holding?: TaskHolding } | { readonly kind: 'refused'; readonly refusal: TaskRefusal };

export interface GuardedRunsOptions {
  readonly tasks: RunTasks;
  readonly lookup: Pick<TaskLookup, 'conflictOn'>;
  readonly elsewhere: HoldingsElsewhere;
  readonly settings: TaskSettings;
  readonly log: Logger;
}

interface Attempt {
  readonly run: TaskRunner;
  readonly controller: AbortController;
}

const GO: Admission = { kind: 'go' };

/**
 * Connects the runs of a worker with the guard: from checking the task of a new message to releasing everything that a
 * run held.
 */
export class GuardedRuns implements TaskPorts {
  /** Handlers that still run, by `runId`. */
  private readonly atWork = new Map<string, Promise<unknown>>();
  /**
   * Runs whose record is being written. `settled` resolves when the record is stored and the release of the remaining
   * tasks has begun.
   */
  private readonly ends = new Map<string, { readonly end: RunEnd; readonly settled: PromiseWithResolvers<void> }>();
  /** Running attempts that asked for tasks. */
  private readonly attempts = new Map<string, Attempt>();

  constructor(private readonly options: GuardedRunsOptions) {}

  taskOf(key: SessionTokens, message: InboxMessage): TaskRef | undefined {
    return taskOfMessage(this.options.settings, key, message);
  }

  async lookAtTask(_key: SessionTokens, { key }: TaskRef): Promise<TaskRefusal | undefined> {
    const { tasks, lookup, log } = this.options;
    try {
      await this.whenSettled(key);
      await tasks.holdings.whenReleased(key);
      const found = await lookup.conflictOn(key);
      return found && refusalOf(key, found.conflict);
    } catch (error) {
      // The turn asks the guard again before it begins.
      log.debug({ error: String(error) }, 'checking a task failed; its turn asks again');
      return undefined;
    }
  }

  /** Acquires the task of a run's message, if it has one. Rejects with `RetryLaterError` when no guard answers. */
  async admit({ key, batch }: TurnWork): Promise<Admission> {
    const { task, tasks: held } = batch;
    if (task === undefined && held === undefined) return GO;
    const { tasks } = this.options;
    const run = this.attemptOf(key, batch);
    if (held !== undefined) await tasks.grants.adopt(run, held, task);
    if (task === undefined) return GO;
    const { key: taskKey, ...options } = task;
    const taken = await tasks.grants.take(run, taskKey, options, true);
    switch (taken.kind) {
      case 'held':
        return { kind: 'go', holding: taken.held.holding };
      // The same run has done the task already, or it runs unguarded.
      case 'done':
      case 'unguarded':
        return GO;
      default:
        return { kind: 'refused', refusal: refusalOf(taskKey, taken) };
    }
  }

  /** For `turn.tasks` of one attempt. */
  keeperFor({ key, batch }: Pick<TurnWork, 'key' | 'batch'>, signal: () => AbortSignal): TaskKeeper {
    return {
      run: (taskKey, fn, options) =>
        this.options.tasks.run(this.attemptOf(key, batch), taskKey, fn, { ...options, signal: signal() }),
    };
  }

  /** Remembers the handler of a run whose message has a task until it returns. `work` never rejects. */
  async following<T>(runId: string, work: Promise<T>): Promise<T> {
    this.atWork.set(runId, work);
    try {
      return await work;
    } finally {
      if (this.atWork.get(runId) === work) this.atWork.delete(runId);
    }
  }

  ending(
    _key: SessionTokens,
    batch: Batch,
    { status, error }: Ending,
    { isLeaked }: AttemptEnd,
  ): Promise<void> | undefined {
    const { runId, task, tasks } = batch;
    const end = { status, error };
    const { holdings } = this.options.tasks;
    const foreign = task !== undefined && this.mayBeForeign(batch, task.key, end) ? task.key : undefined;
    const failing = foreign === undefined ? undefined : this.options.elsewhere.fail(runId, foreign, error);
    if (!holdings.holdsAny(runId) && tasks === undefined) return failing;
    const settled = this.ends.get(runId)?.settled ?? Promise.withResolvers<void>();
    this.ends.set(runId, { end, settled });
    const releasing = holdings.beforeEnd(runId, end, isLeaked);
    return failing === undefined ? releasing : Promise.all([failing, releasing]).then(() => {});
  }

  heldTasks(runId: string): ReturnType<TaskPorts['heldTasks']> {
    return this.options.tasks.holdings.keptBy(runId);
  }

  attemptOver(_key: SessionTokens, run: HoldingRun, fate: AttemptFate, { isLeaked }: AttemptEnd): void {
    const { runId } = run;
    const { tasks, elsewhere } = this.options;
    const { holdings } = tasks;
    this.endAttempt(runId);
    const { end, settled: atLast } = this.ends.get(runId) ?? {};
    this.ends.delete(runId);
    atLast?.resolve();
    // The next attempt asks with the same `runId`. Requests of this attempt must not end its holdings.
    if (fate === 'ended') tasks.grants.giveUpUnclear(runId);
    else if (fate !== 'again') tasks.grants.forgetUnclear(runId);
    const isHere = holdings.holdsAny(runId);
    if (isLeaked && isHere && fate !== 'ended') {
      // The handler was told to stop and still runs. No other run may continue with these tasks, so they fail.
      void holdings.beforeEnd(runId, { status: 'failed' }, true);
      return;
    }
    switch (fate) {
      case 'again':
        return;
      case 'again-elsewhere':
        return holdings.letGo(runId);
      case 'ended':
        if (isHere) return holdings.afterEnd(runId, end ?? { status: 'cancelled' });
        if (end === undefined) elsewhere.release(run.tasks ?? []);
        return;
      case 'discarded':
        // Another worker may continue with tasks that a record names. If none does, their `ttlMs` ends them.
        if (!('items' in run)) return holdings.letGo(runId);
        // Hold the tasks until the handler stops. It was told to.
        return holdings.interrupt(runId, this.atWork.get(runId));
    }
  }

  /** Stops renewals and pending releases. The `ttlMs` of each holding ends it. */
  close(): void {
    this.options.tasks.close();
    this.options.elsewhere.close();
  }

  /**
   * A success is released after its record. A caller that sees the record and asks at once must not find the run still
   * holding the task.
   */
  private async whenSettled(key: string): Promise<void> {
    const { holdings } = this.options.tasks;
    for (const [runId, { settled }] of this.ends) if (holdings.find(runId, key) !== undefined) return settled.promise;
  }

  private attemptOf(key: SessionTokens, { runId }: Pick<Batch, 'runId'>): TaskRunner {
    const known = this.attempts.get(runId);
    if (known !== undefined) return known.run;
    const { agent, session } = sessionNames(key);
    const owner = sessionTaskScope(agent, session);
    const controller = new AbortController();
    const run = { runId, owner, over: controller.signal };
    this.attempts.set(runId, { run, controller });
    return run;
  }

  private endAttempt(runId: string): void {
    const attempt = this.attempts.get(runId);
    if (attempt === undefined) return;
    this.attempts.delete(runId);
    attempt.controller.abort(new TurnOverError(runId));
  }

  /**
   * Whether a dead worker may still hold the task of a failed run. Either the run is not called again, or it could not
   * wait for that holding to end (`retryLaterMaxMs`). If only `ttlMs` ended the holding, the task would be free after a
   * failure (G2).
   */
  private mayBeForeign({ runId, isCondemned, crashes }: Batch, key: string, { status }: RunEnd): boolean {
    if (isCondemned) return true;
    const isFailure = status === 'failed' || status === 'timed_out';
    return isFailure && crashes > 0 && this.options.tasks.holdings.find(runId, key) === undefined;
  }
}
