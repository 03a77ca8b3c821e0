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
import type { Logger } from '#telemetry';
import { acquire, approve, asOf, end, release, renew, type Decided, type End, type Release } from './task-decisions.js';
import { viewOf, type TaskEntry } from './task-entry.js';
import { eventsOf, type TaskEvent } from './task-events.js';
import type { TaskStore } from './task-store.js';

export interface TaskGuardOptions {
  readonly store: TaskStore;
  readonly clock: Pick<Clock, 'now'>;
  /** How long a task that ended well is remembered - ms. What failed or runs is never forgotten (G2). */
  readonly keepMs: number;
  readonly onEvent: (event: TaskEvent) => void;
  readonly log: Logger;
}

/** Each time somebody else has made progress, so only very many who ask at once for one key ever come near it. */
const MAX_TRIES = 200;

/**
 * The guard of tasks: each request is read, decided, written by compare-and-set. Any number of them may work side by side on
 * one store; what a lost race or an unclear write has come to is found by reading again, since every request may be repeated.
 */
export class TaskGuard {
  constructor(private readonly options: TaskGuardOptions) {}

  async acquire(key: string, request: AcquireRequest): Promise<AcquireAnswer> {
    const { answer, revision } = await this.apply(key, (found, now) => acquire(key, found, request, now));
    // The write that begins a holding cannot know the revision that it gets.
    return answer.kind === 'acquired' && answer.token === 0 ? { ...answer, token: revision } : answer;
  }

  async renew(key: string, request: RenewRequest): Promise<RenewAnswer> {
    return (await this.apply(key, (found, now) => renew(found, request, now))).answer;
  }

  async release(key: string, request: Release): Promise<ReleaseAnswer> {
    return (await this.apply(key, (found, now) => release(found, request, now))).answer;
  }

  async approve(key: string, request: ApproveRequest): Promise<ApproveAnswer> {
    return (await this.apply(key, (found, now) => approve(found, request, now))).answer;
  }

  /** Without a token: for people, and for whoever ended a run that cannot say so itself. */
  async end(key: string, request: End): Promise<EndAnswer> {
    return (await this.apply(key, (found, now) => end(found, request, now))).answer;
  }

  async get(key: string): Promise<TaskView | undefined> {
    const { entry } = await this.read(key);
    return entry === undefined ? undefined : viewOf(asOf(entry, this.options.clock.now()));
  }

  /** Writes down what an entry has become by time alone: a holder that is gone, an approval that nobody gave. */
  async settleOverdue(key: string): Promise<void> {
    await this.apply(key, (found, now) => {
      const next = found && asOf(found, now);
      return next === undefined || next === found ? { answer: undefined } : { answer: undefined, next };
    });
  }

  private async apply<Answer>(
    key: string,
    decide: (found: TaskEntry | undefined, now: number) => Decided<Answer>,
  ): Promise<{ answer: Answer; revision: number }> {
    for (let tries = 1; tries <= MAX_TRIES; tries++) {
      const { entry, revision } = await this.read(key);
      const { answer, next } = decide(entry, this.options.clock.now());
      if (next === undefined) return { answer, revision };
      const written = await this.options.store.write(key, next, { expected: revision, ttlMs: this.ttlOf(next) });
      if (written.kind === 'written') {
        for (const event of eventsOf(entry, next, written.revision)) this.options.onEvent(event);
        return { answer, revision: written.revision };
      }
    }
    throw new LanekeeperError('task_contended', 'too many ask for this task at once: try again');
  }

  private async read(key: string): Promise<{ entry: TaskEntry | undefined; revision: number }> {
    const { entry, revision } = await this.options.store.read(key);
    // Taken for free, a task might run twice; taken for running, it would never end.
    if (entry === 'unreadable') throw new UnreadableTaskError(key);
    return { entry, revision };
  }

  private ttlOf({ state }: TaskEntry): number | undefined {
    return state === 'succeeded' || state === 'cancelled' ? this.options.keepMs : undefined;
  }
}

/** Something stands under the key that no guard has written. */
export class UnreadableTaskError extends LanekeeperError {
  constructor(key: string) {
    super(
      'task_unreadable',
      `task ${JSON.stringify(key)}: found a value that no guard has written, so nobody gets it; look at who writes the ` +
        'bucket of tasks, then remove the key there',
    );
  }
}
