import { BatchRefusedError, LanekeeperError, RetryLaterError, TerminalError, type AgentFinding } from '#contracts';
import { readRetryAfter } from './retry-after.js';

/** What it says of a request with several messages may be true for one of them alone. */
const OF_THE_BATCH: ReadonlySet<number> = new Set([400, 413, 422]);

export interface AnswerHead {
  readonly status: number;
  readonly location?: string | undefined;
  readonly retryAfter?: string | undefined;
}

export type StatusMeaning = 'answer' | 'later' | 'again' | 'dead';

/**
 * With these an agent, or what stands before it, says that it has not begun and will take the same request another time:
 *
 *   409  the request of this `Idempotency-Key` is still at work (draft-ietf-httpapi-idempotency-key-header)
 *   425  it will not take the risk of a replay now (RFC 8470)
 *   429  too many requests (RFC 6585)
 *   503  overloaded, or in maintenance (RFC 9110)
 *   521  refused at the origin, 523 no way to it, 525 no TLS with it (Cloudflare)
 *   529  overloaded (Anthropic, Qualys)
 */
const LATER = new Set([409, 425, 429, 503, 521, 523, 525, 529]);
/** Said of requests that came too slowly, and by many gateways of those that took too long: it may have begun. */
const REQUEST_TIMEOUT = 408;

/** `docs/agents-over-http.md` has the same list for people; a test holds them together. */
export function meaningOf(status: number, hasRetryAfter: boolean): StatusMeaning {
  if (status >= 200 && status < 300) return 'answer';
  if (LATER.has(status)) return 'later';
  if (status >= 500 || status === REQUEST_TIMEOUT) return 'again';
  // An agent that refuses a request, and says when it may come again, has not begun with it (RFC 9110, 15.5.14 for 413).
  return status >= 400 && hasRetryAfter ? 'later' : 'dead';
}

/** The least that a `Retry-After` is taken for: its unit is the second. */
const LEAST_ASKED_MS = 1_000;

/** What a status other than 2xx means; `undefined` for 2xx. */
export function errorOfStatus(
  { status, location, retryAfter }: AnswerHead,
  now: number,
  excerpt?: string,
): LanekeeperError | undefined {
  const askedMs = readRetryAfter(retryAfter, now) ?? 0;
  // "At once", or a time that is over, says as much as nothing: then the waits grow.
  const afterMs = askedMs > 0 ? Math.max(LEAST_ASKED_MS, askedMs) : 0;
  const finding: AgentFinding = excerpt === undefined ? { status } : { status, excerpt };
  switch (meaningOf(status, afterMs > 0)) {
    case 'answer':
      return undefined;
    case 'later':
      return new RetryLaterError({ retryAfterMs: afterMs, message: `the agent answered ${status}`, finding });
    case 'again':
      return new AgentFailedError(status, afterMs, finding);
    case 'dead':
      return status < 400 ? redirected(status, location, finding) : refused(status, finding);
  }
}

/** It may have begun, so this was an attempt. The next one comes with backoff, and not before `notWithinMs`. */
export class AgentFailedError extends LanekeeperError {
  constructor(
    status: number,
    readonly notWithinMs: number,
    finding: AgentFinding,
  ) {
    super('agent_failed', `the agent answered ${status}`, { finding });
  }
}

/** A POST with a body is not carried to an address that no setting names. */
function redirected(status: number, location: string | undefined, finding: AgentFinding): TerminalError {
  const target = location === undefined ? '' : ' to another address';
  return new TerminalError(
    `the agent answered ${status}${target}: redirects are not followed; set the agent's url to the final address`,
    { code: 'agent_redirect', finding },
  );
}

function refused(status: number, finding: AgentFinding): TerminalError {
  const message = `the agent answered ${status}: it will not take this turn`;
  const options = { code: 'agent_refused', finding };
  return OF_THE_BATCH.has(status) ? new BatchRefusedError(message, options) : new TerminalError(message, options);
}
