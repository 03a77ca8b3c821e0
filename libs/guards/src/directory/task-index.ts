import type { TaskState } from '#contracts';
import { asOf } from '../tasks/task-decisions.js';
import { isOpenTask, type TaskEntry } from '../tasks/task-entry.js';

/**
 * The tasks that run or wait, as last read: to find the ones that change by time alone, and to count them. It is a hint that
 * may be a moment behind; a caller that acts on it reads the task itself.
 */
export class TaskIndex {
  private readonly open = new Map<string, TaskEntry>();

  /** Takes the current entry of a key; `undefined` = none. */
  take(key: string, entry: TaskEntry | undefined): void {
    if (entry === undefined || !isOpenTask(entry)) {
      this.open.delete(key);
      return;
    }
    // History and meta are not needed here, and long histories of many tasks would fill the memory.
    const small: TaskEntry = { ...entry, history: [], meta: undefined };
    if ('error' in small) small.error = { name: small.error.name, message: '' };
    this.open.set(key, small);
  }

  /** Drops the tasks that the broker has removed by now: it does not announce that to readers. */
  forgetRemoved(now: number): void {
    for (const [key, { keptUntil = Number.POSITIVE_INFINITY }] of this.open)
      if (keptUntil <= now) this.open.delete(key);
  }

  /** Keys of tasks whose state has changed by time alone. */
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
