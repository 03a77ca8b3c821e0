import { z } from 'zod';
import { stalePolicy, TASK_DEFAULTS, taskMaxAttempts, taskNamespace, taskTtlMs, type StalePolicy } from '#contracts';
import { LONGEST_DURATION_MS, duration, group, integer } from '../field-checks.js';

/** Settings for tasks: how the guard keeps them, and which messages of an agent start one. */

const KEEP_MAX_MS = 365 * LONGEST_DURATION_MS;
const KEEP_FAILED_MIN_MS = 60 * 60 * 1000;
const KEEP_FAILED_MAX_MS = 10 * KEEP_MAX_MS;
const KEEP_FAILED_WANTED = `whole milliseconds from ${KEEP_FAILED_MIN_MS} to ${KEEP_FAILED_MAX_MS}, or "unlimited"`;

export const guard = group({
  /**
   * How long a task lasts after its holder is gone, if the task says nothing - ms - default 300000 (5 min). Turns renew
   * theirs.
   */
  ttlMs: taskTtlMs.default(TASK_DEFAULTS.ttlMs),
  /** What happens to such a task: heal = the next acquire gets it, approve = it needs an approval - default heal. */
  stale: stalePolicy.default(TASK_DEFAULTS.stale),
  /**
   * How many attempts a task has, if the task says nothing - attempts - default 1. An end without a clear answer (a timeout, a
   * cut connection) needs an approval, even when attempts are left.
   */
  maxAttempts: taskMaxAttempts.default(TASK_DEFAULTS.maxAttempts),
  /** Turns with a task while no guard answers: closed = they wait, open = they run unguarded - default closed. */
  whenUnavailable: z.enum(['closed', 'open'], 'closed or open').default('closed'),
  /** How long turns wait for an answer of the guard - ms - default 2000. */
  answerWithinMs: integer(100, 60_000, 'whole milliseconds from 100 to 60000').default(2_000),
  /** How long a task that ended well is remembered - ms - default 86400000 (1 d). It bounds `doneForMs`. */
  keepMs: integer(1_000, KEEP_MAX_MS, `whole milliseconds from 1000 to ${KEEP_MAX_MS}`).default(LONGEST_DURATION_MS),
  /**
   * How long a task is kept that failed, lost its holder, waits for an approval or is approved, from its last change - ms, or
   * "unlimited" - default 31536000000 (365 d). After that the task is free, as if it had never run (G2 ends for it).
   */
  keepFailedMs: z
    .union(
      [integer(KEEP_FAILED_MIN_MS, KEEP_FAILED_MAX_MS, KEEP_FAILED_WANTED), z.literal('unlimited')],
      KEEP_FAILED_WANTED,
    )
    .default(KEEP_MAX_MS),
  /** How often to look for holders that are gone - ms - default 5000. */
  sweepMs: duration(100).default(5_000),
});

const NAME_WANTED = 'a name of 1 to 64 characters without spaces, @, < and >; @ before it may stand';
const COMMAND_WANTED = 'a word of a-z A-Z 0-9 _ -, which may begin with / or !';

/** Which messages start a task without naming one. */
export const taskFrom = group({
  /** Texts that begin with one of these words start the task with this name (`/deploy` starts `deploy`) - default none. */
  commands: z
    .array(z.string(COMMAND_WANTED).regex(/^[/!]?[A-Za-z0-9_-]{1,64}$/, COMMAND_WANTED))
    .max(100, 'at most 100 words')
    .optional(),
  /**
   * Names of this agent's bot. A text may begin with a mention of one (`@my_bot /deploy`, `<@U12> /deploy`), and a command for
   * another bot (`/deploy@other_bot`) starts nothing - default: unset = a command counts for whichever bot it is.
   */
  names: z
    .array(z.string(NAME_WANTED).regex(/^@?[^\s@<>]{1,64}$/, NAME_WANTED))
    .max(20, 'at most 20 names')
    .optional(),
  /** Where a message's `data` contains the name: keys with dots between them - default: unset = nowhere. */
  data: z
    .string('keys with dots between them')
    .regex(/^[^.\p{Cc}]{1,64}(\.[^.\p{Cc}]{1,64}){0,7}$/u, 'one to eight keys with dots between them')
    .optional(),
  /** Sessions and channels share the tasks under this name - default: unset = each session has its own tasks. */
  namespace: taskNamespace.optional(),
  /** Like `guard.ttlMs`, for these tasks. */
  ttlMs: taskTtlMs.optional(),
  /** Like `guard.stale`, for these tasks. */
  stale: stalePolicy.optional(),
  /** Like `guard.maxAttempts`, for these tasks. */
  maxAttempts: taskMaxAttempts.optional(),
});

/** See the settings of the same names. */
export interface TaskFromSettings {
  readonly commands?: readonly string[] | undefined;
  readonly names?: readonly string[] | undefined;
  readonly data?: string | undefined;
  readonly namespace?: string | undefined;
  readonly ttlMs?: number | undefined;
  readonly stale?: StalePolicy | undefined;
  readonly maxAttempts?: number | undefined;
}
