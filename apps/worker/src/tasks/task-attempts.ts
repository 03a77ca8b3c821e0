import { describeThrown, LanekeeperError, RetryLaterError } from '#contracts';
import type { HowReleased } from './task-releases.js';

/**
 * What an error of one attempt of a task means. `signal` aborts when the turn must stop:
 *
 *   stopped because the turn timed out, or no clear answer   timed out, even with attempts left
 *   stopped for another reason                               the end of its run decides
 *   asks to run later                                        still held; uses no attempt
 *   failed, last attempt                                     failed
 *   failed                                                   still held for the next attempt
 *
 * `undefined`: the holding continues.
 */
export function endOfAttempt(
  error: unknown,
  { aborted, reason }: AbortSignal,
  isLast: boolean,
): HowReleased | undefined {
  if (aborted ? isTimeout(reason) : isUnclear(error)) return { status: 'timed_out', error: describeThrown(error) };
  if (aborted || error instanceof RetryLaterError || !isLast) return undefined;
  return { status: 'failed', error: describeThrown(error) };
}

/** How much the work has done, and whether it still runs outside, is not known. */
function isTimeout(reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'TimeoutError';
}

/** The agent got the whole request and gave no complete answer. */
export function isUnclear(error: unknown): boolean {
  return error instanceof LanekeeperError && error.finding?.isUnclear === true;
}
