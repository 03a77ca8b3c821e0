import { isDeepStrictEqual } from 'node:util';
import {
  LanekeeperError,
  type AcquireAnswer,
  type AcquireRequest,
  type ApproveAnswer,
  type ApproveRequest,
  type Clock,
  type EndAnswer,
  type ReleaseAnswer,
  type RenewAnswer,
  type RenewRequest,
  type TaskView,
} from '#contracts';
import type { KeyWrite } from '#jetstream';
import type { FailureSource } from '../client/failure-reports.client.js';
import { acquire, approve, asOf, end, release, renew, type Decided, type End, type Release } from './task-decisions.js';
import { isOpenTask, viewOf, type TaskEntry } from './task-entry.js';
import { addedSteps, eventsOf, type TaskEvent } from './task-events.js';
import type { TaskStore } from './task-store.js';

export interface TaskGuardOptions {
  readonly store: TaskStore;
  /** Failures that workers could not report to a guard. */
  readonly failures: FailureSource;
  readonly clock: Pick<Clock, 'now'>;
  /** How long a task that ended well is remembered - ms. */
  readonly keepMs: number;
  /** How long a task that waits for people or for its next holder is kept, from its last change - ms. */
  readonly keepFailedMs: number | 'unlimited';
  /** For holdings that say nothing - default: `TASK_DEFAULTS`. */
  readonly defaults?: Pick<AcquireRequest, 'ttlMs' | 'stale'>;
  readonly onEvent: (event: TaskEvent) => void;
}

/** At each conflict another request has made progress, so only very many requests for one key at once come near this limit. */
const MAX_TRIES = 200;
/** A broker that does not confirm a write is not asked for ever: the caller may ask again. */
const MAX_UNCLEAR = 5;

/**
 * The guard of tasks: each request is read, decided, and written by compare-and-set. Any number of guards may work on one
 * store; after a lost race or an unclear write the guard reads again, since every request may be repeated.
 */
export class TaskGuard {
  constructor(private readonly options: TaskGuardOptions) {}

  /**
   * `validUntil`: when its caller gives up - ms since the epoch. A request that would be decided later is refused
   * (`task_late`).
   */
  async acquire(key: string, request: AcquireRequest, validUntil?: number): Promise<AcquireAnswer> {
    const { answer, revision } = await this.apply(
      key,
      (found, now) => acquire(key, found, { ...this.options.defaults, ...request }, now),
      validUntil,
    );
    // The write that begins a holding cannot know the revision that it gets.
    return answer.kind === 'acquired' && answer.token === 0 ? { ...answer, token: revision } : answer;
  }

  /** As for `acquire`: a late renewal would block the task for longer than its holder is there (G3). */
  async renew(key: string, request: RenewRequest, validUntil?: number): Promise<RenewAnswer> {
    return (await this.apply(key, (found, now) => renew(found, request, now), validUntil)).answer;
  }

  async release(key: string, request: Release): Promise<ReleaseAnswer> {
    return (await this.apply(key, (found, now) => release(found, request, now))).answer;
  }

  async approve(key: string, request: ApproveRequest): Promise<ApproveAnswer> {
    return (await this.apply(key, (found, now) => approve(found, request, now))).answer;
  }

  /** Without a token: for people, and for a process that ended a run which cannot release its task itself. */
  async end(key: string, request: End): Promise<EndAnswer> {
    return (await this.apply(key, (found, now) => end(found, request, now))).answer;
  }

  async get(key: string): Promise<TaskView | undefined> {
    const { entry } = await this.read(key);
    return entry === undefined ? undefined : viewOf(asOf(entry, this.options.clock.now()));
  }

  /** Records what an entry has become by time alone: its holder is gone, or its approval was not given in time. */
  async settleOverdue(key: string): Promise<void> {
    await this.apply(key, (found, now) => {
      const next = found && asOf(found, now);
      return next === undefined || next === found ? { answer: undefined } : { answer: undefined, next };
    });
  }

  private async apply<Answer>(
    key: string,
    decide: (found: TaskEntry | undefined, now: number) => Decided<Answer>,
    validUntil = Number.POSITIVE_INFINITY,
  ): Promise<{ answer: Answer; revision: number }> {
    const unclear: { readonly answer: Answer; readonly former: TaskEntry | undefined; readonly next: TaskEntry }[] = [];
    for (let tries = 1; tries <= MAX_TRIES; tries++) {
      const { entry, revision } = await this.read(key);
      const done = unclear.find(({ former, next }) => entry !== undefined && hasBecome(entry, former, next));
      if (done !== undefined && entry !== undefined) {
        this.tell(done.former, done.next, entry.token);
        return { answer: done.answer, revision: entry.token };
      }
      const reported = await this.reportedEnd(key, entry);
      if (reported !== undefined) {
        await this.writeReported(key, entry, reported, revision);
        continue;
      }
      const now = this.options.clock.now();
      // The read may have waited for the broker, or this process may have been paused during it.
      if (now > validUntil) throw lateError();
      const { answer, next } = decide(entry, now);
      if (next === undefined) return { answer, revision };
      const written = await this.write(key, next, revision);
      if (written.kind === 'written') {
        this.tell(entry, next, written.revision);
        return { answer, revision: written.revision };
      }
      if (written.kind === 'unclear' && unclear.push({ answer, former: entry, next }) === MAX_UNCLEAR) {
        throw unclearError();
      }
    }
    throw new LanekeeperError('task_contended', 'too many ask for this task at once: try again');
  }

  /**
   * The end of a holding whose time is over, if its worker has stored that it failed: this end is recorded before anything
   * else is decided about the task. If its holder only counted as gone, the next acquire would run a failed task again (G2).
   */
  private async reportedEnd(key: string, entry: TaskEntry | undefined): Promise<TaskEntry | undefined> {
    const now = this.options.clock.now();
    if (entry === undefined || asOf(entry, now).state !== 'stale') return undefined;
    const { runId, token } = entry;
    const failure = await this.options.failures.find(key, { runId, token });
    if (failure === undefined) return undefined;
    const { status, error } = failure;
    return release(entry, { token, status, error }, now).next;
  }

  private async writeReported(key: string, former: TaskEntry | undefined, next: TaskEntry, revision: number) {
    const written = await this.write(key, next, revision);
    if (written.kind === 'written') this.tell(former, next, written.revision);
    // In a loop, a broker that does not confirm anything would be asked for ever: the caller asks again.
    if (written.kind === 'unclear') throw unclearError();
  }

  private write(key: string, next: TaskEntry, expected: number): Promise<KeyWrite> {
    const ttlMs = this.ttlOf(next);
    const kept = ttlMs === undefined ? next : { ...next, keptUntil: this.options.clock.now() + ttlMs };
    return this.options.store.write(key, kept, { expected, ttlMs });
  }

  private tell(former: TaskEntry | undefined, next: TaskEntry, revision: number): void {
    for (const event of eventsOf(former, next, revision)) this.options.onEvent(event);
  }

  private async read(key: string): Promise<{ entry: TaskEntry | undefined; revision: number }> {
    const { entry, revision } = await this.options.store.read(key);
    // If it counted as free, a task might run twice; if it counted as running, it would never end.
    if (entry === 'unreadable') throw new UnreadableTaskError(key);
    return { entry, revision };
  }

  private ttlOf(entry: TaskEntry): number | undefined {
    const { keepMs, keepFailedMs } = this.options;
    // A running task ends by its holder or its time, and its entry is then written again.
    if (entry.state === 'running') return undefined;
    const ms = isOpenTask(entry) ? keepFailedMs : keepMs;
    return ms === 'unlimited' ? undefined : ms;
  }
}

function lateError(): LanekeeperError {
  const message = 'its caller has given up; if it has not, compare the clocks of the two machines';
  return new LanekeeperError('task_late', message);
}

function unclearError(): LanekeeperError {
  return new LanekeeperError('task_unclear', 'the broker does not say what became of it: try again');
}

/**
 * Whether a write whose answer was lost has led to the current entry: if it were repeated, it might hit the next holding.
 * (Two sweeps write the same entry; each may then take the other's write for its own, and the change is reported twice.)
 */
function hasBecome(found: TaskEntry, former: TaskEntry | undefined, next: TaskEntry): boolean {
  const steps = addedSteps(former, next);
  if (steps.length === 0) return false;
  if (next.state === 'running' && !(found.state === 'running' && found.requestId === next.requestId)) return false;
  return steps.every((step) => found.history.some((other) => isDeepStrictEqual(other, step)));
}

/** The key has a value that no guard has written. */
export class UnreadableTaskError extends LanekeeperError {
  constructor(key: string) {
    super(
      'task_unreadable',
      `task ${JSON.stringify(key)}: found a value that no guard has written, so it is given to no run; find out which program writes to the ` +
        'bucket of tasks, then remove the key there',
    );
  }
}
