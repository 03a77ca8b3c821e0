/** Base of our errors: `code` for programs, `message` for people, always with the remedy in it. */
export class LanekeeperError extends Error {
  constructor(
    readonly code: string,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = new.target.name;
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
