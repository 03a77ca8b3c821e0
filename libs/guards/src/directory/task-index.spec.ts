import { describe, expect, it } from 'vitest';
import { jsonText, TASK_STATES } from '#contracts';
import { asOf } from '../tasks/task-decisions.js';
import { TaskIndex } from './task-index.js';
import { APPROVAL_MS, entryIn, START, TTL_MS } from '../tasks/tasks.fixture.js';

const OVER = START + TTL_MS;

describe('an index of tasks', () => {
  it('counts tasks that run or wait', () => {
    const index = new TaskIndex();
    for (const state of TASK_STATES) index.take(state, entryIn(state));
    index.take('another', entryIn('failed'));
    const wanted = { running: 1, stale: 1, failed: 2, approved: 1, approval_expired: 1 };
    expect(index.counts(START)).toEqual(wanted);
    const { running: _running, ...others } = wanted;
    expect(index.counts(OVER)).toEqual({ ...others, stale: 2 });
  });

  it('forgets tasks that ended well, and removed ones', () => {
    const index = new TaskIndex();
    for (const gone of [entryIn('succeeded'), entryIn('cancelled'), undefined]) {
      index.take('k', entryIn('running'));
      expect(index.counts(START)).toEqual({ running: 1 });
      index.take('k', gone);
      expect([index.counts(START), index.overdue(OVER)]).toEqual([{}, []]);
    }
  });

  it('drops the tasks that the broker has removed by now, and nothing else', () => {
    const index = new TaskIndex();
    index.take('removed', { ...entryIn('failed'), keptUntil: START + 5 });
    index.take('kept', { ...entryIn('failed'), keptUntil: START + 6 });
    index.take('for ever', entryIn('failed'));
    index.forgetRemoved(START + 5);
    expect(index.counts(START)).toEqual({ failed: 2 });
  });

  it('finds a holding whose time is over, until it learns of another state', () => {
    const index = new TaskIndex();
    index.take('k', entryIn('running'));
    expect(index.overdue(OVER - 1)).toEqual([]);
    expect(index.overdue(OVER)).toEqual(['k']);
    expect(index.overdue(OVER + 1)).toEqual(['k']);
    index.take('k', { ...entryIn('running'), expiresAt: OVER + 10 } as ReturnType<typeof entryIn>);
    expect(index.overdue(OVER + 9)).toEqual([]);
    index.take('k', entryIn('stale'));
    expect(index.overdue(OVER + 86_400_000)).toEqual([]);
  });

  it('finds failures and stale holdings that can no longer be approved', () => {
    const index = new TaskIndex();
    const failed = entryIn('failed');
    index.take('for ever', failed);
    index.take('failed', { ...failed, approvableUntil: START + 5 } as typeof failed);
    index.take('stale', entryIn('stale', { stale: 'approve', approvalForMs: APPROVAL_MS }));
    index.take('healed', entryIn('stale', { approvalForMs: APPROVAL_MS }));
    index.take('approved', { ...entryIn('approved'), approvableUntil: START + 5 } as typeof failed);
    expect(index.overdue(START + 5)).toEqual(['failed']);
    expect(index.overdue(OVER + APPROVAL_MS)).toEqual(['failed', 'stale']);
  });

  it('reports the same change by time as the guard would', () => {
    for (const state of TASK_STATES) {
      for (const more of [{}, { stale: 'approve' as const, approvalForMs: APPROVAL_MS }]) {
        const entry = entryIn(state, more);
        const index = new TaskIndex();
        index.take('k', entry);
        for (const now of [START, OVER - 1, OVER, OVER + APPROVAL_MS - 1, OVER + APPROVAL_MS]) {
          const isOpen = state !== 'succeeded' && state !== 'cancelled';
          expect(index.counts(now)).toEqual(isOpen ? { [asOf(entry, now).state]: 1 } : {});
          expect(index.overdue(now)).toEqual(asOf(entry, now) === entry ? [] : ['k']);
        }
      }
    }
  });

  it('keeps only a small part of a task, however large its entry is', () => {
    const index = new TaskIndex();
    const entry = { ...entryIn('failed', { meta: jsonText('SECRET') }), error: { name: 'Oops', message: 'SECRET' } };
    index.take('k', { ...entry, history: [{ at: 1, what: 'acquired', runId: 'SECRET' }] } as typeof entry);
    const kept = [...(index as unknown as { open: Map<string, unknown> }).open.values()];
    expect(JSON.stringify(kept)).not.toContain('SECRET');
  });
});
