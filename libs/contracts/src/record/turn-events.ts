import { z } from 'zod';

/**
 * Published without waiting when a turn calls an outside agent or takes long. After a crash the new owner reads the last one
 * of a session and freezes that batch again: it is a hint about the batch, never a count of crashes.
 */
const turnStarted = z.object({
  type: z.literal('turn-started'),
  runId: z.string(),
  attempt: z.int().positive(),
  seqs: z.array(z.int().nonnegative()).min(1),
  /** Sequence of the session's last record when the turn began: a later record makes the hint invalid. */
  headSeq: z.int().nonnegative(),
  at: z.number(),
  worker: z.string(),
});
export type TurnStartedEvent = z.infer<typeof turnStarted>;

/** Reads a `turn-started` event; `undefined` for anything else, since a broken hint is ignored. */
export function parseTurnStarted(text: string): TurnStartedEvent | undefined {
  try {
    return turnStarted.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
