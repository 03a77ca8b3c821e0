import { z } from 'zod';
import { checkBody, type CheckedBody } from '../errors/body-check.js';
import { carriedJson } from '../json/carried-json.js';
import { OUTCOMES } from '../record/decisions.js';
import type { JsonText } from '../json/json-text.js';
import { isTaskNamespace, TASK_WANTED } from '../naming/task-key.js';

/**
 * The contract of the task guard, the same over NATS and HTTP: at most one running task per key (G1), and a failed task does
 * not run again without approval (G2). A conflict that another caller may cause (another run has the task, it waits for
 * approval) is an answer, not an error.
 */

const DAY_MS = 24 * 60 * 60 * 1000;

export const TASK_DEFAULTS = { ttlMs: 300_000, stale: 'heal', maxAttempts: 1 } as const;
export const TASK_LIMITS = {
  minTtlMs: 1_000,
  maxTtlMs: DAY_MS,
  maxAttempts: 1_000,
  requestIdChars: 128,
  /** Our own run ids contain the session's token. */
  runIdChars: 2_048,
  ownerChars: 2_048,
  byChars: 256,
  metaBytes: 8 * 1024,
  resultBytes: 64 * 1024,
  errorNameChars: 100,
  errorMessageChars: 2_000,
  maxApprovalMs: 365 * DAY_MS,
} as const;

const text = (maxChars: number) => {
  const wanted = `a text of 1 to ${maxChars} characters without control characters`;
  return z
    .string(wanted)
    .min(1, wanted)
    .max(maxChars, wanted)
    .refine((value) => value.isWellFormed() && !/\p{Cc}/u.test(value), wanted);
};

const duration = (min: number, max: number) => {
  const wanted = `whole milliseconds from ${min} to ${max}`;
  return z.int(wanted).min(min, wanted).max(max, wanted);
};

// A program's error message may have several lines.
const ERROR_MESSAGE_WANTED = `a text of at most ${TASK_LIMITS.errorMessageChars} characters`;
const errorMessage = z.string(ERROR_MESSAGE_WANTED).max(TASK_LIMITS.errorMessageChars, ERROR_MESSAGE_WANTED);
const errorGroup = z.strictObject({ name: text(TASK_LIMITS.errorNameChars), message: errorMessage });
const error = z.union(
  [errorMessage.transform((message) => ({ name: 'Error', message })), errorGroup],
  `${ERROR_MESSAGE_WANTED}, or {name, message}`,
);

export const STALE_POLICIES = ['heal', 'approve'] as const;
export type StalePolicy = (typeof STALE_POLICIES)[number];

// Messages and settings use these for tasks as well.
const ATTEMPTS_WANTED = `a whole number of attempts from 1 to ${TASK_LIMITS.maxAttempts}`;
export const taskMaxAttempts = z
  .int(ATTEMPTS_WANTED)
  .min(1, ATTEMPTS_WANTED)
  .max(TASK_LIMITS.maxAttempts, ATTEMPTS_WANTED);
export const taskTtlMs = duration(TASK_LIMITS.minTtlMs, TASK_LIMITS.maxTtlMs);
export const taskNamespace = z.string(TASK_WANTED.namespace).refine(isTaskNamespace, TASK_WANTED.namespace);
export const stalePolicy = z.enum(STALE_POLICIES, `one of ${STALE_POLICIES.join(', ')}`);

/** The wanted text for a request as a whole; its fields have texts of their own. */
const BODY_WANTED = 'a JSON object';

const token = z.int('the token that acquire answered').positive('the token that acquire answered');

export const acquireRequest = z.strictObject(
  {
    /** New for each call, the same for its repetitions: a repeated id gets the same answer again. */
    requestId: text(TASK_LIMITS.requestIdChars),
    /** The run that gets the holding. */
    runId: text(TASK_LIMITS.runIdChars),
    /** For people: which process or program holds it. */
    owner: text(TASK_LIMITS.ownerChars).optional(),
    /** How long the holding lasts without a renewal - ms - default 300000. */
    ttlMs: taskTtlMs.optional(),
    /**
     * What happens when its holder is gone: `heal` lets the next acquire through, `approve` needs an approval - default heal.
     */
    stale: stalePolicy.optional(),
    /** Any JSON for people and for other callers. */
    meta: carriedJson(TASK_LIMITS.metaBytes).optional(),
    /** For so long after a success other runs are told `done` - ms - default 0: only the run that succeeded is told. */
    doneForMs: duration(0, DAY_MS).optional(),
    /** For so long after a failure it can be approved - ms - default: for ever. */
    approvalForMs: duration(1_000, TASK_LIMITS.maxApprovalMs).optional(),
    /**
     * The token of the same run's holding, for its next attempt: the task stays held, and the answer has a greater token, so
     * that requests of the earlier attempt are recognized.
     */
    formerToken: token.optional(),
  },
  BODY_WANTED,
);
export type AcquireRequest = z.infer<typeof acquireRequest>;

export const renewRequest = z.strictObject(
  {
    token,
    /** How long it lasts from now on, and after later renewals - ms - default: as before. */
    ttlMs: taskTtlMs.optional(),
  },
  BODY_WANTED,
);
export type RenewRequest = z.infer<typeof renewRequest>;

export const releaseRequest = z.strictObject(
  {
    token,
    status: z.enum(OUTCOMES, `one of ${OUTCOMES.join(', ')}`),
    error: error.optional(),
    /** Reported to the same run, and to others for `doneForMs`. */
    result: carriedJson(TASK_LIMITS.resultBytes).optional(),
  },
  BODY_WANTED,
);
export type ReleaseRequest = z.input<typeof releaseRequest>;

export const approveRequest = z.strictObject(
  {
    by: text(TASK_LIMITS.byChars),
    /** Only after the failure of this run: so a repeated request does not approve the next failure too. */
    runId: text(TASK_LIMITS.runIdChars).optional(),
  },
  BODY_WANTED,
);
export type ApproveRequest = z.infer<typeof approveRequest>;

/**
 * Ends the holding of a key without its token: for operators, and for a process that ended a run which cannot release its
 * task itself.
 */
export const endRequest = z.strictObject(
  {
    by: text(TASK_LIMITS.byChars),
    /** `failed` means that an approval is needed from then on - default cancelled. */
    status: z.enum(['cancelled', 'failed'], 'cancelled or failed').optional(),
    /** Only the holding of this run. */
    runId: text(TASK_LIMITS.runIdChars).optional(),
    error: error.optional(),
  },
  BODY_WANTED,
);
export type EndRequest = z.input<typeof endRequest>;

export type TaskError = { readonly name: string; readonly message: string };

/** Times are ms since the epoch, by the clock of the guard. */
export type AcquireAnswer =
  | {
      readonly kind: 'acquired';
      /** Grows with every holding of any key; an old token can do nothing (G4). */
      readonly token: number;
      readonly startedAt: number;
      readonly expiresAt: number;
    }
  | TaskConflict
  | { readonly kind: 'done'; readonly runId: string; readonly endedAt: number; readonly result?: JsonText };

/** Why a run does not get a task now. */
export type TaskConflict =
  | {
      readonly kind: 'already_running';
      readonly runId: string;
      readonly startedAt: number;
      readonly expiresAt: number;
      readonly owner?: string;
      /** It is a holding of the same run: of an earlier attempt that may still be at work. */
      readonly own: boolean;
    }
  | {
      readonly kind: 'approval_required';
      readonly failedRunId: string;
      readonly failedAt: number;
      readonly error: TaskError;
      /** How many holdings it had since it last succeeded. */
      readonly attempts: number;
      /** Until then it can be approved; absent = for ever. */
      readonly approvableUntil?: number;
      /** That time is over: only `release` by an operator frees it. */
      readonly approvalExpired?: true;
    };

/** The caller does not hold the task (any more): another holding exists, or none. */
export interface NotHeld {
  readonly kind: 'not_held';
  readonly state: TaskState | 'none';
  readonly runId?: string;
}

export type RenewAnswer = { readonly kind: 'renewed'; readonly expiresAt: number } | NotHeld;
export type ReleaseAnswer = { readonly kind: 'released'; readonly state: TaskState } | NotHeld;
export type ApproveAnswer =
  | { readonly kind: 'approved'; readonly by: string; readonly at: number }
  /** The task does not wait for approval, or the time for it is over. */
  | { readonly kind: 'not_waiting'; readonly state: TaskState | 'none'; readonly runId?: string };
export type EndAnswer = { readonly kind: 'ended'; readonly state: TaskState } | NotHeld;

export const TASK_STATES = [
  'running',
  'succeeded',
  'cancelled',
  'failed',
  'stale',
  'approved',
  'approval_expired',
] as const;
export type TaskState = (typeof TASK_STATES)[number];

/** What the guard is asked to do. */
export const TASK_REQUESTS = {
  acquire: acquireRequest,
  renew: renewRequest,
  release: releaseRequest,
  'approve-retry': approveRequest,
  end: endRequest,
} as const;
export type TaskOperation = keyof typeof TASK_REQUESTS;

export interface TaskAnswers {
  readonly acquire: AcquireAnswer;
  readonly renew: RenewAnswer;
  readonly release: ReleaseAnswer;
  readonly 'approve-retry': ApproveAnswer;
  readonly end: EndAnswer;
}

/** Checks a request from outside. */
export function checkTaskRequest<Operation extends TaskOperation>(
  operation: Operation,
  body: unknown,
): CheckedBody<z.output<(typeof TASK_REQUESTS)[Operation]>> {
  const schema: z.ZodObject = TASK_REQUESTS[operation];
  const known = [Object.keys(schema.shape), { error: Object.keys(errorGroup.shape) }] as const;
  const checked = checkBody<unknown>(schema, body, { known, json: ['meta', 'result'] });
  return checked as CheckedBody<z.output<(typeof TASK_REQUESTS)[Operation]>>;
}

/** A request to the guard over NATS. */
export interface GuardCall {
  readonly key: string;
  readonly request: unknown;
  /** After this the caller no longer waits for the answer: ms since the epoch, by the caller's clock. */
  readonly validUntil: number;
}

/** The reply to it. */
export type GuardReply<Answer> =
  | { readonly ok: true; readonly answer: Answer }
  /** `unavailable`: the outcome is unknown, the same request may be sent again. `refused`: it will never be accepted. */
  | { readonly ok: false; readonly code: 'unavailable' | 'refused'; readonly message: string };
