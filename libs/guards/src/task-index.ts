import type { TaskState } from '#contracts';
import { asOf } from './task-decisions.js';
import type { TaskEntry } from './task-entry.js';

/**
 * The tasks that run or wait for somebody, as they were heard of: for what time alone changes, and to count them. A hint,
 * that may be a moment behind; whoever acts on it reads the task itself.
 */
export class TaskIndex {
  private readonly open = new Map<string, { readonly entry: TaskEntry; readonly changesAt: number }>();

  /** Takes what stands under a key now; `undefined` = nothing. */
  take(key: string, entry: TaskEntry | undefined): void {
    if (entry === undefined || entry.state === 'succeeded' || entry.state === 'cancelled') {
      this.open.delete(key);
      return;
    }
    // What is shown of it does not matter here, and a long past of many tasks would fill the memory.
    const small: TaskEntry = { ...entry, history: [], meta: undefined };
    if ('error' in small) small.error = { name: small.error.name, message: '' };
    this.open.set(key, { entry: small, changesAt: changesAt(entry) });
  }

  /** Keys of tasks that have become something else by time alone. */
  overdue(now: number): string[] {
    const keys: string[] = [];
    for (const [key, { changesAt }] of this.open) if (changesAt <= now) keys.push(key);
    return keys;
  }

  counts(now: number): Partial<Record<TaskState, number>> {
    const counts: Partial<Record<TaskState, number>> = {};
    for (const { entry } of this.open.values()) {
      const { state } = asOf(entry, now);
      counts[state] = (counts[state] ?? 0) + 1;
    }
    return counts;
  }
}

function changesAt(entry: TaskEntry): number {
  if (entry.state === 'running') return entry.expiresAt;
  const isWaiting = entry.state === 'failed' || (entry.state === 'stale' && entry.stale === 'approve');
  return isWaiting ? (entry.approvableUntil ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
}
