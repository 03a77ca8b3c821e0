import { describe, expect, it } from 'vitest';
import { TASK_STATES } from '#contracts';
import { acquire } from '../tasks/task-decisions.js';
import type { TaskEntry } from '../tasks/task-entry.js';
import { TaskLookup } from './task-lookup.js';
import { APPROVAL_MS, entryIn, KEY, request, START, TOKEN, TTL_MS } from '../tasks/tasks.fixture.js';

/** A lookup of a stored entry, some time after its first holding began. */
function lookAt(entry: TaskEntry | 'unreadable' | undefined, afterMs: number): TaskLookup {
  return new TaskLookup({ read: async () => ({ entry, revision: TOKEN }) }, { now: () => START + afterMs });
}

describe('a lookup of a task', () => {
  it.each([undefined, 'unreadable'] as const)('finds no conflict with an entry that is %s', async (entry) => {
    const lookup = lookAt(entry, 0);
    expect([await lookup.get(KEY), await lookup.conflictOn(KEY)]).toEqual([undefined, undefined]);
  });

  it('reports for each state, at each time, what an acquire would answer', async () => {
    const seen = new Set<string>();
    for (const state of TASK_STATES) {
      for (const more of [
        {},
        { stale: 'approve' as const },
        { stale: 'approve' as const, approvalForMs: APPROVAL_MS },
      ]) {
        for (const afterMs of [2_000, TTL_MS, TTL_MS + APPROVAL_MS]) {
          const entry = entryIn(state, more);
          const { answer } = acquire(KEY, entry, request('another'), START + afterMs);
          const found = await lookAt(entry, afterMs).conflictOn(KEY);
          expect(found?.conflict).toEqual(answer.kind === 'acquired' ? undefined : answer);
          if (found !== undefined) expect(found.state).toBe((await lookAt(entry, afterMs).get(KEY))?.state);
          seen.add(`${answer.kind} ${found?.state ?? '-'}`);
        }
      }
    }
    const wanted = ['acquired -', 'already_running running', 'approval_required failed', 'approval_required stale'];
    expect([...seen].toSorted()).toEqual([...wanted, 'approval_required approval_expired'].toSorted());
  });
});
