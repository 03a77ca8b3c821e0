import { doublingWaitMs } from '#contracts';

/** The limits of an agent's turns, all in ms but `maxAttempts`. See the settings of the same names. */
export interface TurnPolicy {
  readonly turnTimeoutMs: number;
  readonly abortGraceMs: number;
  readonly maxAttempts: number;
  readonly backoffInitialMs: number;
  readonly backoffMaxMs: number;
  readonly retryLaterMaxMs: number;
  /** How many waiting messages of a session are kept as a whole - messages. */
  readonly laneBuffer: number;
}

/** Turns that failed together must not come back together. */
const JITTER = 0.2;

/**
 * Pause after a failed attempt: doubles from `backoffInitialMs` up to `backoffMaxMs`, give or take a fifth. `random` is in
 * [0, 1).
 */
export function backoffMs(policy: TurnPolicy, attempt: number, random: number): number {
  const exact = doublingWaitMs({ firstMs: policy.backoffInitialMs, longestMs: policy.backoffMaxMs }, attempt - 1);
  return Math.round(exact * (1 - JITTER + 2 * JITTER * random));
}
