import type { Clock, TaskConflict, TaskState, TaskView } from '#contracts';
import { asOf, conflictWith } from '../tasks/task-decisions.js';
import { viewOf, type TaskEntry } from '../tasks/task-entry.js';
import type { TaskStore } from '../tasks/task-store.js';

/**
 * Reads one task without asking the guard, for callers that only want to know: nothing is decided here. An unreadable entry
 * counts as none. Every method rejects when the broker is away.
 */
export class TaskLookup {
  constructor(
    private readonly store: Pick<TaskStore, 'read'>,
    private readonly clock: Pick<Clock, 'now'>,
  ) {}

  /** `undefined` for an unknown task. */
  async get(key: string): Promise<TaskView | undefined> {
    const entry = await this.read(key);
    return entry && viewOf(entry);
  }

  /** Why a new run would not get the task now, and its state; `undefined` = it would get the task. */
  async conflictOn(key: string): Promise<{ readonly state: TaskState; readonly conflict: TaskConflict } | undefined> {
    const entry = await this.read(key);
    const conflict = entry && conflictWith(entry);
    return conflict && { state: entry.state, conflict };
  }

  private async read(key: string): Promise<TaskEntry | undefined> {
    const { entry } = await this.store.read(key);
    return entry === undefined || entry === 'unreadable' ? undefined : asOf(entry, this.clock.now());
  }
}
