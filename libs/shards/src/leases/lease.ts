import { z } from 'zod';

/**
 * What a lease of a shard says: who owns it, and where the next owner has to go on.
 *
 *   everything of the shard at or below `read` is decided, except in the sessions of `open`, from their `from` on
 *
 * The library does not know what a session is: it is a text that the source of the work gave.
 */

const sequence = z.int().nonnegative();

const openSession = z.object({
  session: z.string(),
  /** The lowest sequence of it that is not decided. */
  from: sequence,
  /** The incarnation that still runs something of it, though it may not own the shard any more. */
  holder: z.string().optional(),
  /** The last that was written about the session when its hold began: what is written behind it ends the hold. */
  since: sequence.optional(),
});
export type OpenSession = z.infer<typeof openSession>;

/**
 * A former owner ended without a word, and not everything that it may have begun is fenced yet: sessions with a sequence up
 * to `upTo`, as long as nothing behind `tail` was written about them.
 */
const crash = z.object({ upTo: sequence, tail: sequence });

/** An agent that the messages of a shard need of its owner, the most urgent first. */
const need = z.object({
  agent: z.string(),
  /** For how long they have waited, over all owners in a row that lacked it - ms. */
  waitedMs: z.number().nonnegative(),
});

/** How far a shard is decided. */
export interface ShardProgress {
  readonly read: number;
  /** Highest sequence that the shard's owner wrote into the ledger, or inherited: a reader of it must not be behind. */
  readonly tail: number;
  readonly open: readonly OpenSession[];
  readonly crash?: z.infer<typeof crash> | undefined;
  /** Absent = any worker has what the shard needs, as far as is known. */
  readonly needs?: readonly z.infer<typeof need>[] | undefined;
}

const lease = z.object({
  v: z.literal(1),
  /** Random per write: tells one's own write from another's when its answer was lost. */
  writeId: z.string(),
  /** Incarnation; null = nobody, anybody may take it. */
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

/** A shard that nobody has had yet. */
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

/** No less than this was stored in the source once: a source that ends before it has been set back. */
export function highestMark({ read, open }: Pick<ShardProgress, 'read' | 'open'>): number {
  return Math.max(read, ...open.map(({ from }) => from));
}

/** So many sessions a lease names at most: with the longest keys that is half of what the broker takes. */
export const MAX_OPEN = 256;

/**
 * The same progress in at most `MAX_OPEN` sessions. What is held is always named, since nothing else would tell; of the
 * rest those that wait longest, and for all others `read` goes down, so that they are found by reading.
 */
export function withinBound({ open, ...progress }: ShardProgress): ShardProgress {
  const { read } = progress;
  const below = open.filter(({ from, holder }) => holder !== undefined || from <= read);
  if (below.length <= MAX_OPEN) return { ...progress, open: below };
  const held = below.filter(({ holder }) => holder !== undefined);
  const waiting = below.filter(({ holder }) => holder === undefined).toSorted((a, b) => a.from - b.from);
  const named = waiting.slice(0, Math.max(0, MAX_OPEN - held.length));
  const unnamed = waiting[named.length];
  const lowered = unnamed === undefined ? read : Math.min(read, unnamed.from - 1);
  return { ...progress, read: lowered, open: [...held, ...named.filter(({ from }) => from <= lowered)] };
}
