import { writeJsonObject, type AcquireRequest, type TaskState } from '#contracts';
import { ManualClock } from '#testing';
import type { FailureSource } from '../client/failure-reports.client.js';
import { MemoryTaskStore } from './memory-task-store.js';
import { acquire, approve, asOf, release } from './task-decisions.js';
import { atRevision, parseTaskEntry, type TaskEntry } from './task-entry.js';
import type { TaskEvent } from './task-events.js';
import { TaskGuard, type TaskGuardOptions } from './task-guard.js';
import type { TaskStore } from './task-store.js';

/** For specs: tasks in every state, and a guard whose events are kept. */

export const KEY = 'main/telegram:1::report';
/** When the first holding of `entryIn` began. */
export const START = 100_000;
export const TTL_MS = 30_000;
export const TOKEN = 7;
export const APPROVAL_MS = 60_000;

export const request = (runId: string, more: Partial<AcquireRequest> = {}): AcquireRequest => ({
  ...{ requestId: `${runId}-request`, runId, ttlMs: TTL_MS },
  ...more,
});

/** The entry after a decision, as it is read back. */
export function written(next: TaskEntry | undefined, revision: number): TaskEntry {
  if (next === undefined) throw new Error('expected a write');
  return atRevision(parseTaskEntry(writeJsonObject(next)) as TaskEntry, revision);
}

/** The holding of run `r1` with token 7, one second after its beginning (`stale`: when its time was over). */
export function entryIn(state: TaskState, more: Partial<AcquireRequest> = {}): TaskEntry {
  const running = written(acquire(KEY, undefined, request('r1', more), START).next, TOKEN);
  const at = START + 1_000;
  const ended = (status: 'succeeded' | 'cancelled' | 'failed') =>
    written(release(running, { token: TOKEN, status }, at).next, TOKEN + 1);
  switch (state) {
    case 'running':
      return running;
    case 'succeeded':
    case 'cancelled':
    case 'failed':
      return ended(state);
    case 'stale':
      return written(asOf(running, START + (more.ttlMs ?? TTL_MS)), TOKEN + 1);
    case 'approved':
      return written(approve(ended('failed'), { by: 'ann' }, at + 1_000).next, TOKEN + 2);
    case 'approval_expired': {
      const failing = { ...running, approvalForMs: APPROVAL_MS } as TaskEntry;
      const failed = release(failing, { token: TOKEN, status: 'failed' }, at).next!;
      return written(asOf(failed, at + APPROVAL_MS), TOKEN + 2);
    }
  }
}

type GuardSetting = Pick<TaskGuardOptions, 'keepMs' | 'keepFailedMs' | 'failures'>;

export const noFailures: FailureSource = { find: async () => undefined };

export interface GuardParts {
  readonly guard: TaskGuard;
  readonly clock: ManualClock;
  readonly store: TaskStore;
  readonly events: TaskEvent[];
}

export function guardOver(
  store: TaskStore,
  clock: ManualClock,
  { keepMs = 3_600_000, keepFailedMs = 'unlimited', failures = noFailures }: Partial<GuardSetting> = {},
): { readonly guard: TaskGuard; readonly events: TaskEvent[] } {
  const events: TaskEvent[] = [];
  const onEvent = (event: TaskEvent) => void events.push(event);
  return { guard: new TaskGuard({ store, clock, keepMs, keepFailedMs, failures, onEvent }), events };
}

export function memoryGuard(): GuardParts {
  const clock = new ManualClock();
  const store = new MemoryTaskStore(clock);
  return { clock, store, ...guardOver(store, clock) };
}
