import {
  type StalePolicy,
  type TaskConflict,
  describeValue,
  isTaskName,
  isTaskNamespace,
  LanekeeperError,
  sessionTaskKey,
} from '#contracts';

/** A task by its name in this session, or by a name that sessions share. */
export type TaskName = string | { readonly name: string; readonly namespace: string };

export interface TaskOptions {
  /** How long it lasts when its holder is gone - ms - default: the setting `guard.ttlMs`. It is renewed while the turn lives. */
  readonly ttlMs?: number;
  /** What becomes of it then: `heal` lets the next one in, `approve` asks for approval - default: the setting `guard.stale`. */
  readonly stale?: StalePolicy;
  /** Any JSON for people and for other callers, at most 8 KiB. */
  readonly meta?: unknown;
  /** For so long after a success other runs get `done` - ms - default 0: only this run does. */
  readonly doneForMs?: number;
  /** For so long after a failure it can be approved - ms - default: for ever. */
  readonly approvalForMs?: number;
  /**
   * How many attempts it has over the attempts of this turn, until it is failed and asks for an approval - default: the setting
   * `guard.maxAttempts`, 1. One that is cut by the end of the turn's time is the last, whatever is left.
   */
  readonly maxAttempts?: number;
  /** With no guard to ask: `closed` puts the turn off, `open` runs it unguarded - default: the setting. */
  readonly whenUnavailable?: 'closed' | 'open';
}

/** A task as who works on it sees it. */
export interface HeldTaskView {
  readonly key: string;
  /**
   * Grows with every holding and every attempt: give it to what the task writes to, so that a holder of the past is refused
   * there. Absent = unguarded.
   */
  readonly token?: number;
  /** Aborts when the turn has to stop, or when somebody else may have the task. */
  readonly signal: AbortSignal;
}

export type TaskRun<Result> =
  | { readonly kind: 'ran'; readonly result: Result }
  /** This run did it in a former attempt, or another one a short time ago (`doneForMs`); `result` is what JSON keeps of it. */
  | { readonly kind: 'done'; readonly runId: string; readonly result?: unknown }
  | TaskConflict;

export interface TurnTasks {
  /**
   * Runs `fn` as the only one that runs this task, over all sessions and workers. Whoever has it, or that it waits for an
   * approval, is an answer.
   *
   * What `fn` throws goes on to the caller. Then the task is failed: it does not run again before it is approved, not even in
   * this turn. With `maxAttempts` above 1 it is held on to over the turn's own attempts while some are left, each under a
   * greater token, and is failed when the turn ends. A `RetryLaterError` costs none of them. What `fn` answers is kept (JSON of
   * at most 64 KiB), so that a later attempt of this turn gets it as `done` instead of doing it twice. Without a guard the turn
   * is put off, unless `whenUnavailable` is `open`.
   */
  run<Result>(
    task: TaskName,
    fn: (held: HeldTaskView) => Promise<Result> | Result,
    options?: TaskOptions,
  ): Promise<TaskRun<Result>>;
}

/** What a runner of turns gives them to get tasks by. */
export interface TaskKeeper {
  /** As `TurnTasks.run`, by key. */
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

/** No guard is known to this turn: its runner was made without one. */
export class NoTasksError extends LanekeeperError {
  constructor() {
    super('no_tasks', 'turn.tasks: this turn has no task guard; run it in a worker of an installation that has one');
  }
}

/** Tasks as one turn names them. `check` throws when the turn is over. */
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
