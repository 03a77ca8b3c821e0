import { z } from 'zod';

/**
 * Goes out unawaited when a turn calls an outside agent or lasts. After a crash the new owner reads the last one of a
 * session and freezes that batch again: a hint about the batch, never a count of crashes.
 */
const turnStarted = z.object({
  type: z.literal('turn-started'),
  runId: z.string(),
  attempt: z.int().positive(),
  seqs: z.array(z.int().nonnegative()).min(1),
  /** Sequence of the session's last record when the turn began: a record behind it makes the hint void. */
  headSeq: z.int().nonnegative(),
  at: z.number(),
  worker: z.string(),
});
export type TurnStartedEvent = z.infer<typeof turnStarted>;

/** Reads a `turn-started` event, or answers `undefined` for anything else: a broken hint is no hint. */
export function parseTurnStarted(text: string): TurnStartedEvent | undefined {
  try {
    return turnStarted.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
