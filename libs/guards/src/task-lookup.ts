import type { Clock, TaskView } from '#contracts';
import { asOf } from './task-decisions.js';
import { viewOf } from './task-entry.js';
import type { TaskStore } from './task-store.js';

/** Looks at one task without asking the guard, for whoever only wants to know: nothing is decided by it. */
export class TaskLookup {
  constructor(
    private readonly store: Pick<TaskStore, 'read'>,
    private readonly clock: Pick<Clock, 'now'>,
  ) {}

  /** `undefined` when nothing is known of it, or nobody can read it. Rejects when the broker is away. */
  async get(key: string): Promise<TaskView | undefined> {
    const { entry } = await this.store.read(key);
    return entry === undefined || entry === 'unreadable' ? undefined : viewOf(asOf(entry, this.clock.now()));
  }
}
