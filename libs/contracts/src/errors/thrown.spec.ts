import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { LanekeeperError, RetryLaterError, TerminalError } from './errors.js';
import { describeThrown } from './thrown.js';

describe('what was thrown', () => {
  it('has the code of our own errors, and what an outside agent answered', () => {
    const finding = { status: 500, excerpt: 'out of memory' };
    for (const [error, name] of [
      [new LanekeeperError('agent_failed', 'm', { finding }), 'agent_failed'],
      [new TerminalError('m', { code: 'agent_refused', finding }), 'agent_refused'],
      [new RetryLaterError({ retryAfterMs: 1, message: 'm', finding }), 'retry_later'],
    ] as const) {
      expect(describeThrown(error)).toEqual({ name, message: 'm', ...finding });
    }
    expect(describeThrown(new LanekeeperError('x', 'm'))).toEqual({ name: 'x', message: 'm' });
    expect(describeThrown(Object.assign(new Error('m'), { finding }))).toEqual({ name: 'Error', message: 'm' });
  });

  it('is bounded, and well-formed Unicode', () => {
    const finding = { status: 1.5, excerpt: '\u{1F600}'.repeat(2_000) };
    const { status, excerpt = '' } = describeThrown(new LanekeeperError('x', 'm', { finding }));
    expect([status, excerpt.length <= 500, excerpt.isWellFormed()]).toEqual([undefined, true, true]);
  });

  it('does not show what an agent answered when the whole error is logged', () => {
    const error = new TerminalError('m', { finding: { status: 400, excerpt: 'SECRET' } });
    expect(inspect(error) + JSON.stringify(error) + JSON.stringify({ ...error })).not.toContain('SECRET');
    expect(error.finding?.excerpt).toBe('SECRET');
  });
});
