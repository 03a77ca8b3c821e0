/** What an outside agent said when it failed. */
export interface ErrorDetails {
  /** Of its HTTP answer. */
  readonly status?: number;
  /** The beginning of its answer. */
  readonly excerpt?: string;
}

/** Base of our errors: `code` for programs, `message` for people, always with the remedy in it. */
export class LanekeeperError extends Error {
  declare readonly details: ErrorDetails | undefined;

  constructor(
    readonly code: string,
    message: string,
    options?: { cause?: unknown; details?: ErrorDetails | undefined },
  ) {
    super(message, options);
    this.name = new.target.name;
    // Not to be listed: who logs an error as a whole must not log what an agent said in it.
    Object.defineProperty(this, 'details', { value: options?.details, enumerable: false });
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
  constructor(message: string, options?: { code?: string; cause?: unknown; details?: ErrorDetails | undefined }) {
    super(options?.code ?? 'terminal', message, options);
  }
}

interface RetryLaterOptions {
  readonly retryAfterMs: number;
  readonly message?: string;
  readonly cause?: unknown;
  readonly details?: ErrorDetails | undefined;
}

/**
 * Thrown by a handler: not now. The turn runs again after `retryAfterMs`; it costs no attempt, and is bounded by the
 * agent's `retryLaterMaxMs` in all.
 */
export class RetryLaterError extends LanekeeperError {
  /** At least how long to wait, in ms. */
  readonly retryAfterMs: number;

  constructor({ retryAfterMs, message, ...options }: RetryLaterOptions) {
    super('retry_later', message ?? `not now, again in ${retryAfterMs} ms`, options);
    // Infinity stays: longer than any bound, so the turn is dead at once rather than called again at once.
    this.retryAfterMs = Number.isNaN(retryAfterMs) ? 0 : Math.max(0, retryAfterMs);
  }
}
