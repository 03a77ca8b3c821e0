import { describe, expect, it } from 'vitest';
import { BatchRefusedError, LanekeeperError, RetryLaterError, TerminalError } from '#contracts';
import { errorOfStatus } from './agent-status.js';

const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);

describe('errorOfStatus', () => {
  it.each([200, 201, 202, 204, 299])('%i is an answer', (status) =>
    expect(errorOfStatus({ status, retryAfter: '5' }, NOW)).toBeUndefined(),
  );

  it.each<[number, string | undefined, number]>([
    [429, undefined, 5_000],
    [429, 'garbage', 5_000],
    [429, '7', 7_000],
    [429, '0', 0],
    [503, undefined, 5_000],
    [503, 'Mon, 05 Jan 2026 12:00:30 GMT', 30_000],
  ])('%i with Retry-After %j asks for later, in %i ms', (status, retryAfter, retryAfterMs) => {
    const error = errorOfStatus({ status, retryAfter }, NOW);
    expect(error).toBeInstanceOf(RetryLaterError);
    expect(error).toMatchObject({ code: 'retry_later', retryAfterMs, message: `the agent answered ${status}` });
  });

  it.each([300, 301, 302, 303, 304, 307, 308])('%i is terminal, says what to set, and quotes no address', (status) => {
    const error = errorOfStatus({ status, location: 'http://SECRET@evil/' }, NOW);
    expect(error).toBeInstanceOf(TerminalError);
    expect(error).toMatchObject({ code: 'agent_redirect', message: expect.stringMatching(/not followed; set .* url/) });
    expect(error?.message).not.toContain('SECRET');
    expect(errorOfStatus({ status }, NOW)).toBeInstanceOf(TerminalError);
  });

  it.each([400, 401, 403, 404, 405, 408, 409, 413, 422, 428, 430, 499])('%i is terminal', (status) => {
    const error = errorOfStatus({ status, retryAfter: '5' }, NOW);
    expect(error).toBeInstanceOf(TerminalError);
    expect(error).toMatchObject({ code: 'agent_refused', message: expect.stringContaining(`${status}`) });
  });

  it.each([400, 413, 422])('%i may be for one message of several: they are split', (status) => {
    expect(errorOfStatus({ status }, NOW)).toBeInstanceOf(BatchRefusedError);
  });

  it.each([401, 403, 404, 409, 499])('%i is for every message of a turn', (status) => {
    expect(errorOfStatus({ status }, NOW)).not.toBeInstanceOf(BatchRefusedError);
  });

  it.each([500, 501, 502, 504, 599, 600, 999])('%i is tried again with backoff', (status) => {
    const error = errorOfStatus({ status, retryAfter: '5' }, NOW);
    expect(error).toBeInstanceOf(LanekeeperError);
    expect(error).not.toBeInstanceOf(TerminalError);
    expect(error).not.toBeInstanceOf(RetryLaterError);
    expect(error).toMatchObject({ code: 'agent_failed', message: `the agent answered ${status}` });
  });
});
