import type { Clock, TaskConflict, TaskState, TaskView } from '#contracts';
import { asOf, conflictWith } from '../tasks/task-decisions.js';
import { viewOf, type TaskEntry } from '../tasks/task-entry.js';
import type { TaskStore } from '../tasks/task-store.js';

/**
 * Looks at one task without asking the guard, for whoever only wants to know: nothing is decided by it. What nobody can read
 * is looked at as if nothing stood there. Every method rejects when the broker is away.
 */
export class TaskLookup {
  constructor(
    private readonly store: Pick<TaskStore, 'read'>,
    private readonly clock: Pick<Clock, 'now'>,
  ) {}

  /** `undefined` when nothing is known of it. */
  async get(key: string): Promise<TaskView | undefined> {
    const entry = await this.read(key);
    return entry && viewOf(entry);
  }

  /** Why a run that has never had it would not get it now, and what it is; `undefined` = nothing is in its way. */
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
