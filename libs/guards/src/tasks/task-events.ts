import type { TaskStep } from '#contracts';
import type { TaskEntry } from './task-entry.js';

/**
 * An event of a task: for logs, for readers of events, for counters. The entry is the truth; an event reports a change once.
 */
export interface TaskEvent {
  readonly type: `task-${TaskStep['what'] | 'healed'}`;
  readonly key: string;
  readonly runId: string;
  readonly token: number;
  readonly owner?: string;
  /** ms since the epoch. */
  readonly at: number;
  readonly status?: string;
  readonly by?: string;
  /** Name of the error of a holding that failed. */
  readonly error?: string;
}

/** The steps that a decision has added; only these are new objects. */
export function addedSteps(former: TaskEntry | undefined, next: TaskEntry): TaskStep[] {
  const known = new Set(former?.history);
  return next.history.filter((step) => !known.has(step));
}

/** The steps that a write has added, each as an event; a holding that follows one whose holder is gone is also a healing. */
export function eventsOf(former: TaskEntry | undefined, next: TaskEntry, revision: number): TaskEvent[] {
  const steps = addedSteps(former, next);
  return steps.flatMap(({ what, at, runId = next.runId, status, by }): TaskEvent[] => {
    // Steps before a new holding belong to the former one.
    const { key, owner, token } = what === 'acquired' || former === undefined ? { ...next, token: revision } : former;
    const event: TaskEvent = {
      ...{ type: `task-${what}`, key, runId, token, at },
      ...(owner === undefined ? {} : { owner }),
      ...(status === undefined ? {} : { status }),
      ...(by === undefined ? {} : { by }),
      ...(status !== undefined && 'error' in next ? { error: next.error.name } : {}),
    };
    const isHealing = what === 'acquired' && (former?.state === 'stale' || steps.some((step) => step.what === 'stale'));
    return isHealing ? [event, { ...event, type: 'task-healed' }] : [event];
  });
}
