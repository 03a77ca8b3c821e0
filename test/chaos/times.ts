/**
 * How long things live in a run. With short ones a minute holds many deaths; the default ones are those that operators have,
 * and what depends on the proportion of a time to live to a fixed wait shows only with them.
 */
export interface Times {
  /** Of the membership of workers. */
  readonly ttlMs: number;
  readonly renewMs: number;
  /** What the services are told; empty = nothing, so they take their defaults. */
  readonly settings: object;
  /** Between two faults. */
  readonly everyMs: number;
  /** How long what was held up may take once everything works again. */
  readonly healedWithinMs: number;
}

export const TIMES = {
  short: {
    ...{ ttlMs: 2_000, renewMs: 400 },
    settings: {
      membership: { ttlMs: 2_000, renewMs: 400 },
      // Longer than most slow turns, shorter than some: a stop hands those back.
      drainMs: 3_000,
      guard: { sweepMs: 500 },
    },
    // Within a minute nearly each kind comes once.
    everyMs: 2_800,
    healedWithinMs: 60_000,
  },
  default: {
    ...{ ttlMs: 10_000, renewMs: 2_000 },
    settings: {},
    everyMs: 5_600,
    healedWithinMs: 120_000,
  },
} as const satisfies Record<string, Times>;
export type TimesName = keyof typeof TIMES;
