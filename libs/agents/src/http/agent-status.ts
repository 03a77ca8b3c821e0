import { BatchRefusedError, LanekeeperError, RetryLaterError, TerminalError, type AgentFinding } from '#contracts';
import { readRetryAfter } from './retry-after.js';

/** Statuses that may be about one of several messages. The batch is split. */
const OF_THE_BATCH: ReadonlySet<number> = new Set([400, 413, 422]);

export interface AnswerHead {
  readonly status: number;
  readonly location?: string | undefined;
  readonly retryAfter?: string | undefined;
}

export type StatusMeaning = 'answer' | 'later' | 'again' | 'dead';

/**
 * With these statuses an agent, or a proxy in front of it, says that it has not begun and will accept the same request
 * later:
 *
 *   409  the request with this `Idempotency-Key` still runs (draft-ietf-httpapi-idempotency-key-header)
 *   425  it will not risk a replay now (RFC 8470)
 *   429  too many requests (RFC 6585)
 *   503  overloaded, or in maintenance (RFC 9110)
 *   521  origin refused the connection; 523 origin unreachable; 525 TLS handshake failed (Cloudflare)
 *   529  overloaded (Anthropic, Qualys)
 */
const LATER = new Set([409, 425, 429, 503, 521, 523, 525, 529]);
/**
 * The request came too slowly. Many gateways also send it when the answer took too long, so the agent may have begun.
 */
const REQUEST_TIMEOUT = 408;

/** `docs/agents-over-http.md` has the same list. A test compares both. */
export function meaningOf(status: number, hasRetryAfter: boolean): StatusMeaning {
  if (status >= 200 && status < 300) return 'answer';
  if (LATER.has(status)) return 'later';
  if (status >= 500 || status === REQUEST_TIMEOUT) return 'again';
  // An agent that refuses a request and names a time for the next try has not begun (RFC 9110, 15.5.14 for 413).
  return status >= 400 && hasRetryAfter ? 'later' : 'dead';
}

/** Shortest wait for a `Retry-After`: its unit is the second. */
const LEAST_ASKED_MS = 1_000;

/** What a status other than 2xx means; `undefined` for 2xx. */
export function errorOfStatus(
  { status, location, retryAfter }: AnswerHead,
  now: number,
  excerpt?: string,
): LanekeeperError | undefined {
  const askedMs = readRetryAfter(retryAfter, now) ?? 0;
  // 0 or a time in the past counts as no value. Then the waits grow.
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

/**
 * The agent may have begun, so this counts as an attempt. The next one comes after the backoff and not before
 * `notWithinMs`.
 */
export class AgentFailedError extends LanekeeperError {
  constructor(
    status: number,
    readonly notWithinMs: number,
    finding: AgentFinding,
  ) {
    super('agent_failed', `the agent answered ${status}`, { finding });
  }
}

/** A POST with a body is not repeated at an address that is not in the settings. */
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
