import { Injectable } from '@nestjs/common';
import {
  LanekeeperError,
  type AcquireAnswer,
  type EndAnswer,
  type NotHeld,
  type ReleaseAnswer,
  type RenewAnswer,
  type TaskAnswers,
  type TaskApproval,
  type TaskEnd,
  type TaskList,
  type TaskOperation,
  type TaskState,
  type TaskView,
} from '#contracts';
import { UnreadableTaskError, type TaskDirectory, type TaskGuard, type TaskIndex, type TaskQuery } from '#guards';
import { inputProblem, notFound, ProblemException } from '#http';
import { TaskCalls } from './task-calls.provider.js';

export interface TaskServiceParts {
  readonly guard: Pick<TaskGuard, 'get'>;
  readonly directory: Pick<TaskDirectory, 'list'>;
  readonly index: Pick<TaskIndex, 'counts'>;
}

/** What the routes answer: what another caller may cause is an answer of `acquire`; a token that holds nothing is a 409. */
@Injectable()
export class TaskService {
  constructor(
    private readonly calls: TaskCalls,
    private readonly parts: TaskServiceParts,
  ) {}

  async list(query: TaskQuery): Promise<TaskList> {
    const now = Date.now();
    return { ...(await this.parts.directory.list(query, now)), counts: this.parts.index.counts(now) };
  }

  async show(key: string): Promise<TaskView> {
    const task = await orProblem(this.parts.guard.get(key));
    if (task === undefined) throw unknownTask();
    return task;
  }

  acquire(key: string, body: unknown): Promise<AcquireAnswer> {
    return this.call('acquire', key, body);
  }

  async renew(key: string, body: unknown): Promise<object> {
    return held(await this.call('renew', key, body));
  }

  async release(key: string, body: unknown): Promise<TaskEnd> {
    if (isWithoutToken(body)) return ended(await this.call('end', key, body));
    return held(await this.call('release', key, body));
  }

  async approve(key: string, body: unknown): Promise<TaskApproval> {
    const answer = await this.call('approve-retry', key, body);
    if (answer.kind === 'approved') return answer;
    const { state } = answer;
    if (state === 'none') throw unknownTask();
    const found =
      answer.runId === undefined
        ? `state: found ${state}, wanted failed or stale with the policy approve; ${REMEDIES[state]}`
        : `runId: found another run there (${state}), wanted the one that failed; look at the task again`;
    throw new ProblemException({
      status: 409,
      code: 'not-waiting',
      title: 'The task does not wait for an approval',
      detail: found,
      extra: { state, ...(answer.runId === undefined ? {} : { runId: answer.runId }) },
    });
  }

  private async call<Operation extends TaskOperation>(
    operation: Operation,
    key: string,
    body: unknown,
  ): Promise<TaskAnswers[Operation]> {
    const called = await orProblem(this.calls.call(operation, key, body));
    if (!called.ok) throw inputProblem(422, called.problems);
    return called.answer;
  }
}

/** What to do about a task that cannot be approved. */
const REMEDIES: Readonly<Record<TaskState, string>> = {
  running: 'wait until it ends',
  succeeded: 'it is free: acquire it',
  cancelled: 'it is free: acquire it',
  failed: 'approve it',
  stale: 'it heals by itself: acquire it',
  approved: 'acquire it',
  approval_expired: 'the time for an approval is over: release it (`lanekeeper tasks release`), then it is free',
};

function isWithoutToken(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'by' in body && !('token' in body);
}

const RETRY_AFTER_S = 1;
const UNDECIDED: ReadonlySet<string> = new Set(['task_contended', 'task_unclear']);

/** Errors that are not a mistake in the request, in words for people: otherwise they would only be an error in the log. */
async function orProblem<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof UnreadableTaskError) {
      const title = 'The value under this key is not a task';
      throw new ProblemException({ status: 500, code: 'task-unreadable', title, detail: error.message });
    }
    if (error instanceof LanekeeperError && UNDECIDED.has(error.code)) {
      const problem = { status: 503, code: error.code.replace('_', '-'), title: 'The task cannot be decided now' };
      throw new ProblemException({ ...problem, detail: error.message, retryAfterS: RETRY_AFTER_S });
    }
    throw error;
  }
}

function held<Answer extends RenewAnswer | ReleaseAnswer>(answer: Answer): Exclude<Answer, NotHeld> {
  if (answer.kind !== 'not_held') return answer as Exclude<Answer, NotHeld>;
  const found = 'token: found one of a holding that is over, wanted that of the one that runs';
  throw notHeld(
    'This token holds nothing',
    answer,
    `${found}; the task is ${answer.state}: stop working on it, and acquire it again if it still has to be done`,
  );
}

function ended(answer: EndAnswer): Exclude<EndAnswer, NotHeld> {
  if (answer.kind === 'ended') return answer;
  if (answer.state === 'none') throw unknownTask();
  const found = 'runId: found a run whose holding is over, wanted that of the one that runs';
  throw notHeld('This run holds nothing', answer, `${found}; the task is ${answer.state}`);
}

function notHeld(title: string, { state, runId }: NotHeld, detail: string): ProblemException {
  const extra = { state, ...(runId === undefined ? {} : { runId }) };
  return new ProblemException({ status: 409, code: 'not-held', title, detail, extra });
}

function unknownTask(): ProblemException {
  return notFound(
    'task',
    'key: no task is stored under it; it never ran, or it ended well long ago. GET /v1/tasks lists others',
  );
}

/** Answers a caller that has hung up: it never receives this. */
export function callerGone(): ProblemException {
  return new ProblemException({
    status: 408,
    code: 'caller-gone',
    title: 'The caller has hung up',
    detail:
      'The connection ended before the request was taken; nothing was changed. The same request may be sent again.',
  });
}
