import { describe, expect, it } from 'vitest';
import type { TaskView } from '#contracts';
import { refusalOf, refusalOfLook } from './task-refusal.js';

const startedAt = Date.UTC(2026, 0, 5, 12);
const error = { name: 'E', message: 'SECRET' };
const running = { kind: 'already_running', runId: 'r', startedAt, expiresAt: startedAt + 5, own: false } as const;
const failed = { kind: 'approval_required', failedRunId: 'r', failedAt: startedAt, error, attempts: 2 } as const;

describe('why a message does not get its task', () => {
  it('somebody runs it: who, and since when', () => {
    expect(refusalOf('k', { ...running, owner: 'main/s' })).toEqual({
      reason: 'already_running',
      text: 'This task is already running (since 2026-01-05T12:00:00.000Z).',
      data: { task: 'k', result: 'already_running', runId: 'r', startedAt },
    });
  });

  it('it failed: which run, when, how often; not why, which is for operators', () => {
    const refusal = refusalOf('k', failed);
    expect(refusal).toEqual({
      reason: 'approval_required',
      text: expect.stringContaining('failed (at 2026-01-05T12:00:00.000Z) and does not run again before'),
      data: { task: 'k', result: 'approval_required', failedRunId: 'r', failedAt: startedAt, attempts: 2 },
    });
    expect(JSON.stringify(refusal)).not.toContain('SECRET');
    expect(refusalOf('k', { ...failed, approvalExpired: true }).data).toMatchObject({ approvalExpired: true });
  });
});

describe('why it would not get it now', () => {
  const view = (more: Partial<TaskView>): TaskView => ({
    ...{ key: 'k', state: 'running', runId: 'r', token: 1, startedAt, attempts: 2, staleCount: 0, history: [] },
    ...more,
  });
  const ended = { endedAt: startedAt, error };

  it('says the same as whoever asks for it', () => {
    expect(refusalOfLook(view({ expiresAt: running.expiresAt }))).toEqual(refusalOf('k', running));
    expect(refusalOfLook(view({ state: 'failed', ...ended }))).toEqual(refusalOf('k', failed));
    expect(refusalOfLook(view({ state: 'stale', stale: 'approve', ...ended }))).toEqual(refusalOf('k', failed));
    const expired = refusalOf('k', { ...failed, approvalExpired: true });
    expect(refusalOfLook(view({ state: 'approval_expired', ...ended }))).toEqual(expired);
  });

  it.each<[string, TaskView | undefined]>([
    ['nothing is known of it', undefined],
    ['it ended well', view({ state: 'succeeded' })],
    ['it was cancelled', view({ state: 'cancelled' })],
    ['somebody approved it', view({ state: 'approved' })],
    ['its holder is gone, and the next one may have it', view({ state: 'stale', stale: 'heal' })],
  ])('lets it wait when %s', (_title, found) => {
    expect(refusalOfLook(found)).toBeUndefined();
  });
});
