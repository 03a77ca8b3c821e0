/** The decision about a message. Exactly one record decides each message (L1). */
export const DECISIONS = [
  'handled',
  'steered',
  'skipped',
  'superseded',
  'interrupted',
  'dropped',
  'expired',
  'cancelled',
  'refused',
  'dead',
  'duplicate',
  'rejected',
] as const;
export type Decision = (typeof DECISIONS)[number];

/** How a turn ended. Child runs, the guard, events and metrics use the same words. */
export const OUTCOMES = ['succeeded', 'failed', 'cancelled', 'timed_out', 'interrupted', 'rejected'] as const;
export type Outcome = (typeof OUTCOMES)[number];
