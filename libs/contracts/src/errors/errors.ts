/** What is known of the answer of an agent over HTTP that failed its turn. */
export interface AgentFinding {
  /** Absent = no answer came that has one. */
  readonly status?: number;
  /** The beginning of the body, bounded, as one line. It is the content of an answer: shown only where contents may be. */
  readonly excerpt?: string;
  /** The agent had the whole request and gave no whole answer: what it did, and whether it still does, is not known. */
  readonly isUnclear?: true;
}

/** What an error may say beside its message. */
interface ErrorDetails {
  readonly code?: string;
  readonly cause?: unknown;
  readonly finding?: AgentFinding | undefined;
}

/** Base of our errors: `code` for programs, `message` for people, always with the remedy in it. */
export class LanekeeperError extends Error {
  declare readonly finding: AgentFinding | undefined;

  constructor(
    readonly code: string,
    message: string,
    options?: Omit<ErrorDetails, 'code'>,
  ) {
    super(message, options);
    this.name = new.target.name;
    // Not to be listed: a log of the error as a whole must not hold what an agent said.
    Object.defineProperty(this, 'finding', { value: options?.finding, enumerable: false });
  }
}

/** One thing that is wrong with an input: which field, what was found, what was wanted, how to mend it. */
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

/** Thrown by a handler: trying again cannot help. The turn ends at once, its messages are decided `dead`. */
export class TerminalError extends LanekeeperError {
  constructor(message: string, options?: ErrorDetails) {
    super(options?.code ?? 'terminal', message, options);
  }
}

/**
 * Thrown by a handler: not these messages together, for one of them or for their number. Several run again in parts, each a
 * turn of its own in their order, until the one that is refused alone ends `dead`; the others are handled.
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
 * Thrown by a handler: not now. The turn runs again after `retryAfterMs`; it costs no attempt, and is bounded by the
 * agent's `retryLaterMaxMs` in all.
 */
export class RetryLaterError extends LanekeeperError {
  /** At least how long to wait, in ms; 0 = no certain time: then the waits grow. */
  readonly retryAfterMs: number;

  constructor({ retryAfterMs, message, code, ...options }: RetryLaterOptions) {
    super(code ?? 'retry_later', message ?? `not now, again in ${retryAfterMs} ms`, options);
    // Infinity stays: longer than any bound, so the turn is dead at once rather than called again at once.
    this.retryAfterMs = Number.isNaN(retryAfterMs) ? 0 : Math.max(0, retryAfterMs);
  }
}
