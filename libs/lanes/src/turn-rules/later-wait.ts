import type { TurnPolicy } from './turn-policy.js';

/**
 * How long a turn waits that is put off. Pure; the counterpart for failed attempts is `backoffMs`.
 *
 *   asked for a time        that time, never sooner
 *   asked for none, or for  as long as it has been put off so far: each wait is about twice the one before, from
 *   less than LEAST_LATER   `backoffInitialMs` up to `backoffMaxMs`
 *
 * What comes out is spread upwards over a part of itself, since many sessions are told the same at the same moment. How long
 * it has been put off stands in the session's records (`laterSince`), so a new owner of the session goes on where the former
 * one was, and nothing has to be counted.
 */

/** "At once" would be a loop of notes and requests until the bound. */
export const LEAST_LATER_MS = 100;
/** The part of a wait that sessions spread over. */
const SPREAD = 0.5;
/** Beyond that a spread only costs time: ten thousand sessions are a hundred a second then. */
const WIDEST_SPREAD_MS = 60_000;

export interface PutOff {
  /** What was asked for - ms; 0 = no time. */
  readonly askedMs: number;
  /** How long it has been put off so far - ms; 0 = this is the first time. */
  readonly soFarMs: number;
}

/** `undefined`: it may not be put off any further (`retryLaterMaxMs` in all). `random` is in [0, 1). */
export function laterWaitMs({ askedMs, soFarMs }: PutOff, policy: TurnPolicy, random: number): number | undefined {
  const leftMs = policy.retryLaterMaxMs - soFarMs;
  const hasAsked = askedMs >= LEAST_LATER_MS;
  const leastMs = hasAsked ? askedMs : LEAST_LATER_MS;
  if (leastMs > leftMs) return undefined;
  const exactMs = hasAsked ? askedMs : grownMs(policy, soFarMs);
  // The last wait ends at the bound rather than by chance before or behind it.
  return Math.max(leastMs, Math.min(leftMs, spreadUp(exactMs, random)));
}

/** A wait that nothing comes back before, and many not at once. */
export function spreadUp(exactMs: number, random: number): number {
  return Math.ceil(exactMs + Math.min(exactMs * SPREAD, WIDEST_SPREAD_MS) * random);
}

function grownMs({ backoffInitialMs, backoffMaxMs }: TurnPolicy, soFarMs: number): number {
  const longest = Math.max(LEAST_LATER_MS, backoffMaxMs);
  return Math.min(longest, Math.max(LEAST_LATER_MS, backoffInitialMs, soFarMs));
}
