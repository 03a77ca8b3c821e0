import type { TaskState } from '#contracts';
import { asOf } from '../tasks/task-decisions.js';
import { isOpenTask, type TaskEntry } from '../tasks/task-entry.js';

/**
 * The tasks that run or wait for somebody, as they were heard of: for what time alone changes, and to count them. A hint,
 * that may be a moment behind; whoever acts on it reads the task itself.
 */
export class TaskIndex {
  private readonly open = new Map<string, TaskEntry>();

  /** Takes what stands under a key now; `undefined` = nothing. */
  take(key: string, entry: TaskEntry | undefined): void {
    if (entry === undefined || !isOpenTask(entry)) {
      this.open.delete(key);
      return;
    }
    // What is shown of it does not matter here, and a long past of many tasks would fill the memory.
    const small: TaskEntry = { ...entry, history: [], meta: undefined };
    if ('error' in small) small.error = { name: small.error.name, message: '' };
    this.open.set(key, small);
  }

  /** Drops what the broker has removed by now: it tells no reader of that. */
  forgetRemoved(now: number): void {
    for (const [key, { keptUntil = Number.POSITIVE_INFINITY }] of this.open)
      if (keptUntil <= now) this.open.delete(key);
  }

  /** Keys of tasks that have become something else by time alone. */
  overdue(now: number): string[] {
    const keys: string[] = [];
    for (const [key, entry] of this.open) if (asOf(entry, now) !== entry) keys.push(key);
    return keys;
  }

  counts(now: number): Partial<Record<TaskState, number>> {
    const counts: Partial<Record<TaskState, number>> = {};
    for (const entry of this.open.values()) {
      const { state } = asOf(entry, now);
      counts[state] = (counts[state] ?? 0) + 1;
    }
    return counts;
  }
}
