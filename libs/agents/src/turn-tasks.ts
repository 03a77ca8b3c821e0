import {
  type StalePolicy,
  type TaskConflict,
  describeValue,
  isTaskName,
  isTaskNamespace,
  LanekeeperError,
  sessionTaskKey,
} from '#contracts';

/** Name of a task in this session, or a name that sessions share. */
export type TaskName = string | { readonly name: string; readonly namespace: string };

export interface TaskOptions {
  /**
   * How long a holding lasts without a renewal - ms - default: the setting `guard.ttlMs`. It is renewed while the turn
   * lives.
   */
  readonly ttlMs?: number;
  /**
   * What happens after that: `heal` lets the next run acquire it, `approve` asks for approval - default: the setting
   * `guard.stale`.
   */
  readonly stale?: StalePolicy;
  /** Any JSON for people and for other callers, at most 8 KiB. */
  readonly meta?: unknown;
  /** Time after a success in which other runs get `done` - ms - default 0: only this run does. */
  readonly doneForMs?: number;
  /** Time after a failure in which it can be approved - ms - default: no limit. */
  readonly approvalForMs?: number;
  /**
   * Attempts of the task, over all attempts of this turn, until it is failed and needs an approval - default: the
   * setting `guard.maxAttempts`, 1. An attempt that the turn's timeout cuts is the last, even with attempts left.
   */
  readonly maxAttempts?: number;
  /** When no guard answers: `closed` delays the turn, `open` runs the task unguarded - default: the setting. */
  readonly whenUnavailable?: 'closed' | 'open';
}

/** A task, as the function that works on it sees it. */
export interface HeldTaskView {
  readonly key: string;
  /**
   * Grows with every holding and every attempt. Pass it to the resource that the task writes to, so that the resource
   * can refuse a former holder. Absent: the task runs unguarded.
   */
  readonly token?: number;
  /** Aborts when the turn must stop, or when another run may hold the task. */
  readonly signal: AbortSignal;
}

export type TaskRun<Result> =
  | { readonly kind: 'ran'; readonly result: Result }
  /** This run did it in an earlier attempt, or another run did it recently (`doneForMs`). `result` is its JSON. */
  | { readonly kind: 'done'; readonly runId: string; readonly result?: unknown }
  | TaskConflict;

export interface TurnTasks {
  /**
   * Runs `fn` while this run alone holds the task, over all sessions and workers. If another run holds it, or it waits
   * for an approval, the result says so.
   *
   * An error of `fn` goes to the caller, and the task is failed: it does not run again without approval, not even in
   * this turn. With `maxAttempts` above 1 the run keeps the task for its next attempts while some are left, each with a
   * greater token. The task is failed when the turn ends. A `RetryLaterError` uses no attempt.
   *
   * The result of `fn` is kept (JSON of at most 64 KiB): a later attempt of this turn gets it as `done` and does not
   * repeat the work. When no guard answers the turn is delayed, unless `whenUnavailable` is `open`.
   */
  run<Result>(
    task: TaskName,
    fn: (held: HeldTaskView) => Promise<Result> | Result,
    options?: TaskOptions,
  ): Promise<TaskRun<Result>>;
}

/** How a turn acquires tasks. The runner of the turn provides it. */
export interface TaskKeeper {
  /** Like `TurnTasks.run`, by key. */
  run<Result>(
    key: string,
    fn: (held: HeldTaskView) => Promise<Result> | Result,
    options: TaskOptions,
  ): Promise<TaskRun<Result>>;
}

export class TaskNameError extends LanekeeperError {
  constructor(found: string) {
    super(
      'bad_task_name',
      `turn.tasks.run(): found ${found}; wanted a name of 1 to 128 bytes without control characters and "::", or ` +
        '{namespace, name}',
    );
  }
}

export class TaskAttemptsError extends LanekeeperError {
  constructor(found: string) {
    super('bad_task_attempts', `turn.tasks.run(): found ${found} as maxAttempts; wanted a whole number from 1 on`);
  }
}

/** This turn has no guard: its runner was made without one. */
export class NoTasksError extends LanekeeperError {
  constructor() {
    super('no_tasks', 'turn.tasks: this turn has no task guard; run it in a worker of an installation that has one');
  }
}

/** The `tasks` of one turn. `check` throws when the turn is over. */
export class OwnTasks implements TurnTasks {
  constructor(
    private readonly scope: { readonly agent: string; readonly session: string },
    private readonly keeper: TaskKeeper | undefined,
    private readonly check: () => void,
  ) {}

  async run<Result>(
    task: TaskName,
    fn: (held: HeldTaskView) => Promise<Result> | Result,
    options: TaskOptions = {},
  ): Promise<TaskRun<Result>> {
    this.check();
    const { maxAttempts = 1 } = options;
    if (!Number.isInteger(maxAttempts) || maxAttempts < 1) throw new TaskAttemptsError(describeValue(maxAttempts));
    if (this.keeper === undefined) throw new NoTasksError();
    return this.keeper.run(this.keyOf(task), fn, options);
  }

  private keyOf(task: unknown): string {
    const { name, namespace } = (typeof task === 'object' && task !== null ? task : { name: task }) as Partial<
      Record<'name' | 'namespace', unknown>
    >;
    if (typeof name !== 'string' || !isTaskName(name)) throw new TaskNameError(`${describeValue(name)} as its name`);
    if (namespace === undefined) return sessionTaskKey(name, this.scope);
    if (typeof namespace === 'string' && isTaskNamespace(namespace)) {
      return sessionTaskKey({ name, namespace }, this.scope);
    }
    throw new TaskNameError(`${describeValue(namespace)} as its namespace`);
  }
}
