/** What is known about the HTTP answer of an agent that failed its turn. */
export interface AgentFinding {
  /** Absent = there was no answer with a status. */
  readonly status?: number;
  /** The beginning of the body, bounded, on one line. It is content of an answer: shown only where contents may be shown. */
  readonly excerpt?: string;
  /** The agent had the whole request and gave no complete answer: it is unknown what it did, and whether it still runs. */
  readonly isUnclear?: true;
}

/** Optional details of an error. */
interface ErrorDetails {
  readonly code?: string;
  readonly cause?: unknown;
  readonly finding?: AgentFinding | undefined;
}

/** Base of our errors: `code` for programs; `message` for people, always with the remedy. */
export class LanekeeperError extends Error {
  declare readonly finding: AgentFinding | undefined;

  constructor(
    readonly code: string,
    message: string,
    options?: Omit<ErrorDetails, 'code'>,
  ) {
    super(message, options);
    this.name = new.target.name;
    // Not enumerable: a log of the whole error must not contain what an agent said.
    Object.defineProperty(this, 'finding', { value: options?.finding, enumerable: false });
  }
}

/** One problem of an input: which field, what was found, what was wanted, how to fix it. */
export interface InputProblem {
  /** Path of the field, e.g. `agents.main.url` or `text`. */
  readonly field: string;
  readonly found: string;
  readonly wanted: string;
  readonly remedy?: string;
}

export function describeProblem(problem: InputProblem): string {
  const remedy = problem.remedy === undefined ? '' : `; ${problem.remedy}`;
  return `${problem.field}: found ${problem.found}, wanted ${problem.wanted}${remedy}`;
}

/** Thrown by a handler: a retry cannot help. The turn ends at once, its messages are decided `dead`. */
export class TerminalError extends LanekeeperError {
  constructor(message: string, options?: ErrorDetails) {
    super(options?.code ?? 'terminal', message, options);
  }
}

/**
 * Thrown by a handler that refuses the batch because of one message or because of their number. Several messages run again in
 * parts, each a turn of its own, in order. A message that is refused alone ends `dead`; the others are handled.
 */
export class BatchRefusedError extends TerminalError {
  constructor(message: string, options?: ErrorDetails) {
    super(message, { code: 'batch_refused', ...options });
  }
}

interface RetryLaterOptions extends ErrorDetails {
  readonly retryAfterMs: number;
  readonly message?: string;
}

/**
 * Thrown by a handler that cannot do it now. The turn runs again after `retryAfterMs`; this costs no attempt, and the total
 * time is limited by the agent's `retryLaterMaxMs`.
 */
export class RetryLaterError extends LanekeeperError {
  /** Wait at least this long, in ms; 0 = no certain time: then the waits grow. */
  readonly retryAfterMs: number;

  constructor({ retryAfterMs, message, code, ...options }: RetryLaterOptions) {
    super(code ?? 'retry_later', message ?? `not now, again in ${retryAfterMs} ms`, options);
    // Infinity is kept: it exceeds every limit, so the turn is dead at once instead of being called again at once.
    this.retryAfterMs = Number.isNaN(retryAfterMs) ? 0 : Math.max(0, retryAfterMs);
  }
}
