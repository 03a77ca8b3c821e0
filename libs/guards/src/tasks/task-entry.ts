import { z } from 'zod';
import { parseCarried, STALE_POLICIES, type JsonText, type TaskStep, type TaskView } from '#contracts';

/**
 * The value under a task's key. It is written whole by compare-and-set, so that each decision rests on exactly the
 * value that it replaces. Times are ms since the epoch.
 */

const time = z.number();
const error = z.object({ name: z.string(), message: z.string() });
/** Kept as text when the entry is parsed. */
const json = z.unknown() as z.ZodType<JsonText>;

const step = z.object({
  at: time,
  what: z.enum(['acquired', 'released', 'stale', 'approved', 'approval_expired', 'ended']),
  runId: z.string().optional(),
  status: z.string().optional(),
  by: z.string().optional(),
});

const ofEvery = {
  v: z.literal(1),
  key: z.string(),
  /**
   * The token of its last holding: the revision of the write that began it, so it grows over all keys and survives the
   * removal of an entry. 0 = this very write began it, and its revision is the token.
   */
  token: z.int().nonnegative(),
  runId: z.string(),
  owner: z.string().optional(),
  startedAt: time,
  meta: json.optional(),
  /** Holdings since it last succeeded. */
  attempts: z.int().nonnegative(),
  staleCount: z.int().nonnegative(),
  /** By the clock of the guard that wrote it; the broker removes it by its own clock. Absent = it runs, or is kept for ever. */
  keptUntil: time.optional(),
  history: z.array(step),
};

const running = z.object({
  ...ofEvery,
  state: z.literal('running'),
  requestId: z.string(),
  ttlMs: z.number(),
  /** The end of time that acquire answered, however often it was renewed since. */
  grantedUntil: time,
  expiresAt: time,
  stale: z.enum(STALE_POLICIES),
  /** For how long a failure can be approved; absent = for ever. */
  approvalForMs: z.number().optional(),
});

const ofFailure = {
  status: z.string(),
  endedAt: time,
  error,
  approvalForMs: z.number().optional(),
  approvableUntil: time.optional(),
};

const stale = z.object({
  ...ofEvery,
  ...ofFailure,
  state: z.literal('stale'),
  expiresAt: time,
  stale: z.enum(STALE_POLICIES),
});
const failed = z.object({ ...ofEvery, ...ofFailure, state: z.literal('failed') });
const approvalExpired = z.object({ ...ofEvery, ...ofFailure, state: z.literal('approval_expired') });
const approved = z.object({
  ...ofEvery,
  ...ofFailure,
  state: z.literal('approved'),
  approvedBy: z.string(),
  approvedAt: time,
});

const ended = z.object({
  ...ofEvery,
  state: z.enum(['succeeded', 'cancelled']),
  status: z.string(),
  endedAt: time,
  result: json.optional(),
});

const taskEntry = z.discriminatedUnion('state', [running, stale, ended, failed, approvalExpired, approved]);
export type TaskEntry = z.infer<typeof taskEntry>;
export type RunningTask = z.infer<typeof running>;
export type EndedTask = z.infer<typeof ended>;
/** It did not end well; an acquire may not replace all of these. */
export type UnfinishedTask = Extract<TaskEntry, { readonly error: unknown }>;

/** Whether it runs or waits; a task that ended well does neither, and is forgotten after a while. */
export function isOpenTask({ state }: Pick<TaskView, 'state'>): boolean {
  return state !== 'succeeded' && state !== 'cancelled';
}

/** Parts of an entry that are passed on without being read. */
const CARRIED = { meta: true, result: true } as const;

/** `undefined` for a value that no guard has written. */
export function parseTaskEntry(text: string): TaskEntry | undefined {
  try {
    return taskEntry.safeParse(parseCarried(text, CARRIED)).data;
  } catch {
    return undefined;
  }
}

/** How many steps of its history are kept; long histories must not fill the broker. */
const MAX_STEPS = 50;

export function addStep(history: readonly TaskStep[], next: TaskStep): TaskStep[] {
  return [...history, next].slice(-MAX_STEPS);
}

/** An entry as stored at a revision: its token is known. */
export function atRevision(entry: TaskEntry, revision: number): TaskEntry {
  return entry.token === 0 ? { ...entry, token: revision } : entry;
}

/** For people, without the fields that only the guard needs. */
export function viewOf(entry: TaskEntry): TaskView {
  const hidden = ['v', 'requestId', 'ttlMs', 'grantedUntil', 'approvalForMs'];
  return Object.fromEntries(Object.entries(entry).filter(([field]) => !hidden.includes(field))) as unknown as TaskView;
}
