import { describeThrown, LanekeeperError, RetryLaterError } from '#contracts';
import type { HowReleased } from './task-releases.js';

/**
 * What the throw of one attempt of a task means. `signal` aborts when its turn has to stop:
 *
 *   it stopped as the turn's time was over, or has no clear answer   timed out, whatever attempts are left
 *   it stopped for another reason                                    how its run ends says it
 *   it wants to come later                                           held on to, and no attempt is used up
 *   it failed, the last one                                          failed
 *   it failed                                                        held on to for the next one
 *
 * Undefined = the holding goes on.
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

/** What it did by then, and what it still does outside, is not known. */
function isTimeout(reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'TimeoutError';
}

/** The agent had the whole request and gave no whole answer. */
export function isUnclear(error: unknown): boolean {
  return error instanceof LanekeeperError && error.finding?.isUnclear === true;
}
