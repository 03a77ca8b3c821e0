import { describe, expect, it } from 'vitest';
import { BatchRefusedError, RetryLaterError, TerminalError } from '#contracts';
import { AgentFailedError, errorOfStatus } from './agent-status.js';

const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);

describe('errorOfStatus', () => {
  it.each([200, 201, 202, 204, 299])('%i is an answer', (status) =>
    expect(errorOfStatus({ status, retryAfter: '5' }, NOW)).toBeUndefined(),
  );

  it.each<[number, string | undefined, number]>([
    [429, '7', 7_000],
    [429, '30.5', 30_500],
    [503, 'Mon, 05 Jan 2026 12:00:30 GMT', 30_000],
    [529, '9', 9_000],
    [409, '2', 2_000],
    [413, '60', 60_000],
    [403, '5', 5_000],
    // The unit of the header is the second.
    [429, '0.001', 1_000],
  ])('%i with Retry-After %j means later, in %i ms', (status, retryAfter, retryAfterMs) => {
    const error = errorOfStatus({ status, retryAfter }, NOW);
    expect(error).toBeInstanceOf(RetryLaterError);
    expect(error).toMatchObject({ code: 'retry_later', retryAfterMs, message: `the agent answered ${status}` });
  });

  it.each([409, 425, 429, 503, 521, 523, 525, 529])('%i means later, without a certain time', (status) => {
    for (const retryAfter of [undefined, 'garbage', '0', '0.0', 'Sun, 04 Jan 2026 12:00:00 GMT', '-1']) {
      const error = errorOfStatus({ status, retryAfter }, NOW);
      expect(error).toBeInstanceOf(RetryLaterError);
      expect(error).toMatchObject({ retryAfterMs: 0 });
    }
  });

  it.each([300, 301, 302, 303, 304, 307, 308])('%i is terminal, says what to set, and quotes no address', (status) => {
    const error = errorOfStatus({ status, location: 'http://SECRET@evil/' }, NOW);
    expect(error).toBeInstanceOf(TerminalError);
    expect(error).toMatchObject({ code: 'agent_redirect', message: expect.stringMatching(/not followed; set .* url/) });
    expect(error?.message).not.toContain('SECRET');
    expect(errorOfStatus({ status }, NOW)).toBeInstanceOf(TerminalError);
  });

  it.each([400, 401, 403, 404, 405, 410, 413, 422, 423, 428, 430, 499])('%i is terminal', (status) => {
    for (const retryAfter of [undefined, '0', 'soon']) {
      const error = errorOfStatus({ status, retryAfter }, NOW);
      expect(error).toBeInstanceOf(TerminalError);
      expect(error).toMatchObject({ code: 'agent_refused', message: expect.stringContaining(`${status}`) });
    }
  });

  it.each([400, 413, 422])('%i may be about one of several messages: they are split', (status) => {
    expect(errorOfStatus({ status }, NOW)).toBeInstanceOf(BatchRefusedError);
  });

  it.each([401, 403, 404, 409, 499])('%i is for every message of a turn', (status) => {
    expect(errorOfStatus({ status }, NOW)).not.toBeInstanceOf(BatchRefusedError);
  });

  it.each([408, 500, 501, 502, 504, 520, 599, 600, 999])('%i is tried again, not before its Retry-After', (status) => {
    for (const [retryAfter, notWithinMs] of [
      [undefined, 0],
      ['5', 5_000],
    ] as const) {
      const error = errorOfStatus({ status, retryAfter }, NOW);
      expect(error).toBeInstanceOf(AgentFailedError);
      expect(error).not.toBeInstanceOf(TerminalError);
      expect(error).not.toBeInstanceOf(RetryLaterError);
      expect(error).toMatchObject({ code: 'agent_failed', message: `the agent answered ${status}`, notWithinMs });
    }
  });

  it.each([302, 400, 429, 500])('%i tells its status, and what the agent said apart from the message', (status) => {
    const error = errorOfStatus({ status }, NOW, 'SECRET');
    expect(error).toMatchObject({
      finding: { status, excerpt: 'SECRET' },
      message: expect.not.stringContaining('SECRET'),
    });
    expect(errorOfStatus({ status }, NOW)?.finding).toEqual({ status });
  });
});
