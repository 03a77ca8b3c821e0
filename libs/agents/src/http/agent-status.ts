import { BatchRefusedError, LanekeeperError, RetryLaterError, TerminalError } from '#contracts';
import { readRetryAfter } from './retry-after.js';

/** How long an agent that is overloaded and does not say for how long is left alone. */
const DEFAULT_LATER_MS = 5_000;

/** What it says of a request with several messages may be true for one of them alone. */
const OF_THE_BATCH: ReadonlySet<number> = new Set([400, 413, 422]);

export interface AnswerHead {
  readonly status: number;
  readonly location?: string | undefined;
  readonly retryAfter?: string | undefined;
}

/**
 * What a status other than 2xx means; `undefined` for 2xx.
 *
 *   429, 503     later, after `Retry-After`; costs no attempt
 *   3xx          terminal: a POST with a body is not carried to an address that nobody configured
 *   400 413 422  terminal for a message alone; of several one may be why, or their size: they are split
 *   other 4xx    terminal: the same request would be refused again
 *   5xx          again, with backoff
 */
export function errorOfStatus({ status, location, retryAfter }: AnswerHead, now: number): LanekeeperError | undefined {
  if (status >= 200 && status < 300) return undefined;
  if (status === 429 || status === 503) {
    const retryAfterMs = readRetryAfter(retryAfter, now) ?? DEFAULT_LATER_MS;
    return new RetryLaterError({ retryAfterMs, message: `the agent answered ${status}` });
  }
  if (status >= 300 && status < 400) {
    const target = location === undefined ? '' : ' to another address';
    return new TerminalError(
      `the agent answered ${status}${target}: redirects are not followed; set the agent's url to the final address`,
      { code: 'agent_redirect' },
    );
  }
  if (OF_THE_BATCH.has(status)) {
    return new BatchRefusedError(`the agent answered ${status}: it will not take this turn`, { code: 'agent_refused' });
  }
  if (status >= 400 && status < 500) {
    return new TerminalError(`the agent answered ${status}: it will not take this turn`, { code: 'agent_refused' });
  }
  return new LanekeeperError('agent_failed', `the agent answered ${status}`);
}
