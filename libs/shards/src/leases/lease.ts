import { z } from 'zod';

/**
 * What a lease of a shard says: who owns it, and where the next owner has to resume.
 *
 *   everything of the shard at or below `read` is decided, except in the sessions of `open`, from their `from` on
 *
 * The library does not know what a session is: for it a session is a text from the source of the work.
 */

const sequence = z.int().nonnegative();

const openSession = z.object({
  session: z.string(),
  /** The lowest sequence of the session that is not decided. */
  from: sequence,
  /** In handoff: the incarnation that still runs a turn of the session, though it may not own the shard any more. */
  holder: z.string().optional(),
  /** The session's last record when its handoff began: a later record ends the handoff. */
  since: sequence.optional(),
});
export type OpenSession = z.infer<typeof openSession>;

/**
 * A former owner crashed, and not everything that it may have begun is fenced yet: this applies to sessions with a sequence
 * up to `upTo`, as long as no record after `tail` was written for them.
 */
const crash = z.object({ upTo: sequence, tail: sequence });

/** An agent that messages of the shard need; the most urgent comes first in the list. */
const need = z.object({
  agent: z.string(),
  /** For how long they have waited, summed over consecutive owners that did not have the agent - ms. */
  waitedMs: z.number().nonnegative(),
});

/** How far a shard is decided. */
export interface ShardProgress {
  readonly read: number;
  /**
   * Highest sequence that the shard's owner wrote into the ledger, or inherited: a reader of the ledger must not be behind
   * it.
   */
  readonly tail: number;
  readonly open: readonly OpenSession[];
  readonly crash?: z.infer<typeof crash> | undefined;
  /** Absent = any worker has what the shard needs, as far as is known. */
  readonly needs?: readonly z.infer<typeof need>[] | undefined;
}

const lease = z.object({
  v: z.literal(1),
  /** Random per write: identifies our own write when its answer was lost. */
  writeId: z.string(),
  /** An incarnation; null = no owner, any member may take the shard. */
  owner: z.string().nullable(),
  read: sequence,
  tail: sequence,
  open: z.array(openSession),
  crash: crash.optional(),
  needs: z.array(need).readonly().optional().catch(undefined),
});
export type Lease = z.infer<typeof lease>;

/** A lease with the revision of its key. */
export interface StoredLease {
  readonly revision: number;
  readonly lease: Lease;
}

/** A shard that never had an owner. */
export const NEW_SHARD: ShardProgress = { read: 0, tail: 0, open: [] };

export function parseLease(text: string): Lease | undefined {
  try {
    return lease.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** No source message of the shard below this is needed any more. */
export function floorOf({ read, open }: Pick<ShardProgress, 'read' | 'open'>): number {
  return Math.min(read, ...open.map(({ from }) => from));
}

/** The source once had this sequence: a source that ends before it was rewound. */
export function highestMark({ read, open }: Pick<ShardProgress, 'read' | 'open'>): number {
  return Math.max(read, ...open.map(({ from }) => from));
}

/** A lease names at most so many sessions: with the longest keys that is half of what the broker accepts. */
export const MAX_OPEN = 256;

/**
 * The same progress with at most `MAX_OPEN` sessions. Sessions in handoff are always named, since nothing else names their
 * holder. Of the others those that wait longest are named; for the rest `read` is lowered, so that reading finds them again.
 */
export function withinBound({ open, ...progress }: ShardProgress): ShardProgress {
  const { read } = progress;
  const below = open.filter(({ from, holder }) => holder !== undefined || from <= read);
  if (below.length <= MAX_OPEN) return { ...progress, open: below };
  const inHandoff = below.filter(({ holder }) => holder !== undefined);
  const waiting = below.filter(({ holder }) => holder === undefined).toSorted((a, b) => a.from - b.from);
  const named = waiting.slice(0, Math.max(0, MAX_OPEN - inHandoff.length));
  const unnamed = waiting[named.length];
  const lowered = unnamed === undefined ? read : Math.min(read, unnamed.from - 1);
  return { ...progress, read: lowered, open: [...inHandoff, ...named.filter(({ from }) => from <= lowered)] };
}
