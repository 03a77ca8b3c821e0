import { describe, expect, it } from 'vitest';
import { refusalOf } from './task-refusal.js';

const startedAt = Date.UTC(2026, 0, 5, 12);
const error = { name: 'E', message: 'SECRET' };
const running = { kind: 'already_running', runId: 'r', startedAt, expiresAt: startedAt + 5, own: false } as const;
const failed = { kind: 'approval_required', failedRunId: 'r', failedAt: startedAt, error, attempts: 2 } as const;

describe('why a message does not get its task', () => {
  it('another run holds it: which, and since when', () => {
    expect(refusalOf('k', { ...running, owner: 'main/s' })).toEqual({
      reason: 'already_running',
      text: 'This task is already running (since 2026-01-05T12:00:00.000Z).',
      data: { task: 'k', result: 'already_running', runId: 'r', startedAt },
    });
  });

  it('it failed: which run, when, how often; the reason is for operators only', () => {
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
