import {
  TASK_DEFAULTS,
  type AcquireAnswer,
  type AcquireRequest,
  type ApproveAnswer,
  type ApproveRequest,
  type EndAnswer,
  type JsonText,
  type NotHeld,
  type Outcome,
  type ReleaseAnswer,
  type RenewAnswer,
  type RenewRequest,
  type TaskConflict,
  type TaskError,
} from '#contracts';
import { addStep, type EndedTask, type RunningTask, type TaskEntry, type UnfinishedTask } from './task-entry.js';

/**
 * The life of a task, as pure code: the stored entry, a request and the time go in; the answer and the entry to store come out.
 *
 *   (none) --acquire--> running
 *   running --renew--> running, for longer
 *   running --acquire by its run, with its token--> running, under a greater token: the next attempt
 *   running --release--> succeeded             succeeded, cancelled: free; forgotten after a while
 *                        cancelled             (cancelled, interrupted)
 *                        failed                (failed, timed_out, rejected)
 *   running --its time is over--> stale        its holder is gone
 *   stale --acquire, policy heal--> running    with policy approve: like failed
 *   stale --release by its holder--> as above  no other run has acquired in between
 *   failed, stale --approve-retry--> approved  exactly one acquire passes
 *   failed --approvableUntil--> approval_expired   it cannot be approved any more
 *   approved --acquire--> running
 *   any --end (an operator's release)--> cancelled, or failed
 *
 * G1  `running` is left by its holder, by an operator, or by the end of its time; acquire replaces it for its holder alone.
 * G2  From `failed` no acquire passes without an approval, including the run that failed; an approval lets one through.
 * G3  A holder that is gone blocks until `expiresAt` at the latest.
 * G4  The token is the revision of the write that began the holding, so it grows. Another token can do nothing.
 *
 * Every request may be repeated after an unclear answer: its earlier effect is recognized and gets the same answer.
 */

export interface Decided<Answer> {
  readonly answer: Answer;
  /** The entry to store; absent = nothing is written. */
  readonly next?: TaskEntry;
}

type Entry = TaskEntry | undefined;

/** The entry after changes that time alone causes, without a request; the same object when nothing has changed. */
export function asOf(entry: TaskEntry, now: number): TaskEntry {
  if (entry.state === 'running' && entry.expiresAt <= now) return asOf(withoutHolder(entry), now);
  if (!isApprovable(entry) || (entry.approvableUntil ?? Number.POSITIVE_INFINITY) > now) return entry;
  const history = addStep(entry.history, {
    at: entry.approvableUntil ?? now,
    what: 'approval_expired',
    runId: entry.runId,
  });
  return { ...failureOf(entry), state: 'approval_expired', history };
}

export function acquire(key: string, found: Entry, request: AcquireRequest, now: number): Decided<AcquireAnswer> {
  const entry = found && asOf(found, now);
  if (entry?.state === 'running' && isRepeated(entry, request)) return { answer: granted(entry) };
  if (found?.state === 'running' && isNextAttempt(found, request)) return begin(key, found, request, now);
  const conflict = entry && conflictWith(entry, request.runId);
  if (conflict !== undefined) return { answer: conflict };
  if (entry?.state === 'succeeded' && isDoneFor(entry, request, now)) return { answer: done(entry) };
  return begin(key, entry, request, now);
}

/** Why this run would not get the task, also for lookups. `entry`: as of now. */
export function conflictWith(entry: TaskEntry, runId?: string): TaskConflict | undefined {
  switch (entry.state) {
    case 'running':
      return alreadyRunning(entry, runId);
    case 'stale':
      return entry.stale === 'heal' ? undefined : approvalRequired(entry);
    case 'failed':
    case 'approval_expired':
      return approvalRequired(entry);
    case 'succeeded':
    case 'cancelled':
    case 'approved':
      return undefined;
  }
}

export function renew(found: Entry, { token, ttlMs }: RenewRequest, now: number): Decided<RenewAnswer> {
  // Also late, while no request has noticed: it is still the only holder there is.
  if (found?.state !== 'running' || found.token !== token) return { answer: notHeld(found, now) };
  const expiresAt = now + (ttlMs ?? found.ttlMs);
  return { answer: { kind: 'renewed', expiresAt }, next: { ...found, ttlMs: ttlMs ?? found.ttlMs, expiresAt } };
}

export interface Release extends Pick<Ending, 'status' | 'error' | 'result'> {
  readonly token: number;
  readonly status: Outcome;
}

export function release(found: Entry, { token, ...how }: Release, now: number): Decided<ReleaseAnswer> {
  if (found?.token !== token) return { answer: notHeld(found, now) };
  if (found.state === 'running' || found.state === 'stale') {
    const next = endOf(found, { ...how, what: 'released' }, now);
    return { answer: { kind: 'released', state: next.state }, next };
  }
  const isRepeated = found.status === how.status && ENDED_BY_HOLDER[stateAfter(how.status)].includes(found.state);
  return { answer: isRepeated ? { kind: 'released', state: found.state } : notHeld(found, now) };
}

export function approve(found: Entry, { by, runId }: ApproveRequest, now: number): Decided<ApproveAnswer> {
  const entry = found && asOf(found, now);
  if (entry !== undefined && runId !== undefined && entry.runId !== runId) {
    return { answer: { kind: 'not_waiting', state: entry.state, runId: entry.runId } };
  }
  // Repeated, or from a second person: an approval lets one acquire through, not two.
  if (entry?.state === 'approved') return { answer: { kind: 'approved', by: entry.approvedBy, at: entry.approvedAt } };
  if (entry === undefined || !isApprovable(entry))
    return { answer: { kind: 'not_waiting', state: entry?.state ?? 'none' } };
  const history = addStep(entry.history, { at: now, what: 'approved', runId: entry.runId, by });
  return {
    answer: { kind: 'approved', by, at: now },
    next: { ...failureOf(entry), state: 'approved', approvedBy: by, approvedAt: now, history },
  };
}

export interface End extends Pick<Ending, 'error'> {
  readonly by: string;
  /** Default: cancelled. */
  readonly status?: 'cancelled' | 'failed' | undefined;
  /** Only the holding of this run. */
  readonly runId?: string | undefined;
}

export function end(found: Entry, { by, status = 'cancelled', runId, error }: End, now: number): Decided<EndAnswer> {
  const entry = found && asOf(found, now);
  if (entry === undefined || (runId !== undefined && entry.runId !== runId)) return { answer: notHeld(entry, now) };
  const isOver = entry.state !== 'running' && entry.state !== 'stale';
  // The end of a named run is recorded once; an operator may end the same task again.
  if (isOver && (runId !== undefined || entry.state === status)) {
    return { answer: entry.state === status ? { kind: 'ended', state: status } : notHeld(entry, now) };
  }
  const next = endOf(entry, { status, error, by, what: 'ended' }, now);
  return { answer: { kind: 'ended', state: next.state }, next };
}

/** The states that may follow the end of a holding before its release is repeated. */
const ENDED_BY_HOLDER: Record<ReturnType<typeof stateAfter>, readonly TaskEntry['state'][]> = {
  succeeded: ['succeeded'],
  cancelled: ['cancelled'],
  failed: ['failed', 'approved', 'approval_expired'],
};

/** The state after a holding ended with this status: work that may be half-done needs an approval. */
export function stateAfter(status: string): 'succeeded' | 'cancelled' | 'failed' {
  if (status === 'succeeded') return 'succeeded';
  return status === 'cancelled' || status === 'interrupted' ? 'cancelled' : 'failed';
}

function begin(key: string, former: Entry, request: AcquireRequest, now: number): Decided<AcquireAnswer> {
  const { requestId, runId, owner, meta, approvalForMs } = request;
  const { ttlMs = TASK_DEFAULTS.ttlMs, stale = TASK_DEFAULTS.stale } = request;
  const expiresAt = now + ttlMs;
  const next: RunningTask = {
    ...{ v: 1, key, state: 'running', token: 0, requestId, runId, startedAt: now, ttlMs, stale },
    ...{ expiresAt, grantedUntil: expiresAt },
    ...defined({ owner, meta, approvalForMs }),
    attempts: (former?.attempts ?? 0) + 1,
    staleCount: former?.staleCount ?? 0,
    history: addStep(former?.history ?? [], { at: now, what: 'acquired', runId }),
  };
  return { answer: granted(next), next };
}

interface Ending {
  readonly what: 'released' | 'ended';
  readonly status: string;
  readonly error?: TaskError | undefined;
  readonly result?: JsonText | undefined;
  readonly by?: string | undefined;
}

function endOf(entry: TaskEntry, { what, status, error, result, by }: Ending, now: number): TaskEntry {
  const state = stateAfter(status);
  const history = addStep(entry.history, { at: now, what, runId: entry.runId, status, ...defined({ by }) });
  const kept = { ...identityOf(entry), status, endedAt: now, history };
  if (state === 'succeeded') return { ...kept, state, attempts: 0, ...defined({ result }) };
  if (state === 'cancelled') return { ...kept, state };
  const approvalForMs = 'approvalForMs' in entry ? entry.approvalForMs : undefined;
  const approvableUntil = approvalForMs === undefined ? undefined : now + approvalForMs;
  const reason = by === undefined ? 'its holder gave no reason' : `ended by ${by}`;
  return {
    ...{ ...kept, state, error: error ?? { name: status, message: reason } },
    ...defined({ approvalForMs, approvableUntil }),
  };
}

/** Its holder is gone: it was not released in time. */
function withoutHolder(entry: RunningTask): TaskEntry {
  const { expiresAt, stale, approvalForMs, runId } = entry;
  const approvableUntil = approvalForMs === undefined ? undefined : expiresAt + approvalForMs;
  return {
    ...identityOf(entry),
    ...{ state: 'stale', expiresAt, stale, status: 'interrupted', endedAt: expiresAt },
    staleCount: entry.staleCount + 1,
    error: { name: 'holder_gone', message: 'its holder neither renewed nor released it in time' },
    ...defined({ approvalForMs, approvableUntil }),
    history: addStep(entry.history, { at: expiresAt, what: 'stale', runId }),
  };
}

function identityOf(entry: TaskEntry) {
  const { key, token, runId, owner, startedAt, meta, attempts, staleCount, history } = entry;
  return { v: 1 as const, key, token, runId, startedAt, attempts, staleCount, history, ...defined({ owner, meta }) };
}

function failureOf(entry: UnfinishedTask) {
  const { status, endedAt, error, approvalForMs, approvableUntil } = entry;
  return { ...identityOf(entry), status, endedAt, error, ...defined({ approvalForMs, approvableUntil }) };
}

/** Whether it waits for an approval. */
function isApprovable(entry: TaskEntry): entry is Extract<TaskEntry, { readonly state: 'failed' | 'stale' }> {
  return entry.state === 'failed' || (entry.state === 'stale' && entry.stale === 'approve');
}

function isDoneFor(entry: EndedTask, { runId, doneForMs = 0 }: AcquireRequest, now: number): boolean {
  if (entry.runId === runId) return true;
  // A caller that asks for no such time gets none, even when the guard that wrote the end has a clock ahead of ours.
  return doneForMs > 0 && entry.endedAt + doneForMs > now;
}

/** Other runs may have chosen the same request id: they must not get the same token (G1). */
function isRepeated({ requestId, runId }: RunningTask, request: AcquireRequest): boolean {
  return requestId === request.requestId && runId === request.runId;
}

/** Its holder asks for its next attempt; also late, while its entry still says that it runs. */
function isNextAttempt({ runId, token }: RunningTask, { runId: byRun, formerToken }: AcquireRequest): boolean {
  return runId === byRun && token === formerToken;
}

/** The answer of the acquire that began it, whatever renewals came since. */
function granted({ token, startedAt, grantedUntil }: RunningTask): AcquireAnswer {
  return { kind: 'acquired', token, startedAt, expiresAt: grantedUntil };
}

function alreadyRunning({ startedAt, expiresAt, owner, runId }: RunningTask, byRun: string | undefined): TaskConflict {
  return { kind: 'already_running', runId, startedAt, expiresAt, own: runId === byRun, ...defined({ owner }) };
}

function approvalRequired(entry: UnfinishedTask): TaskConflict {
  const { runId, endedAt, error, attempts, approvableUntil, state } = entry;
  return {
    ...{ kind: 'approval_required', failedRunId: runId, failedAt: endedAt, error, attempts },
    ...defined({ approvableUntil }),
    ...(state === 'approval_expired' ? { approvalExpired: true } : {}),
  };
}

function done({ runId, endedAt, result }: EndedTask): AcquireAnswer {
  return { kind: 'done', runId, endedAt, ...defined({ result }) };
}

function notHeld(entry: Entry, now: number): NotHeld {
  if (entry === undefined) return { kind: 'not_held', state: 'none' };
  return { kind: 'not_held', state: asOf(entry, now).state, runId: entry.runId };
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without fields that have no value: JSON does not write them, and they would be missing when read back. */
function defined<T extends object>(fields: T): Defined<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>;
}
