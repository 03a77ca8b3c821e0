import { Injectable } from '@nestjs/common';
import {
  checkTaskRequest,
  describeProblem,
  describeValue,
  taskKeyProblem,
  type GuardReply,
  type InputProblem,
  type TaskAnswers,
  type TaskOperation,
} from '#contracts';
import type { TaskGuard } from '#guards';
import type { Logger } from '#telemetry';
import { UnreadableCall } from './call-body.js';

/** What `TaskCalls` needs of the guard. */
export type TaskGuardPort = Pick<TaskGuard, 'acquire' | 'renew' | 'release' | 'approve' | 'end'>;

export type CheckedCall<Operation extends TaskOperation> =
  | { readonly ok: true; readonly answer: TaskAnswers[Operation] }
  | { readonly ok: false; readonly problems: readonly InputProblem[] };

/**
 * The clocks of two machines may differ by this much. A guard that was paused for longer finds requests whose callers have
 * given up: a task that it gave to one of them would block until its time is over, and no worker would work on it.
 */
const LATE_MS = 2_000;

/** Requests to the guard, over NATS or HTTP: checked, then executed. */
@Injectable()
export class TaskCalls {
  private readonly underWay = new Set<Promise<unknown>>();

  constructor(
    private readonly guard: TaskGuardPort,
    private readonly log: Logger,
  ) {}

  /** `validUntil`: when its caller gives up - ms since the epoch; absent = it says so by hanging up. */
  async call<Operation extends TaskOperation>(
    operation: Operation,
    key: unknown,
    body: unknown,
    validUntil?: number,
  ): Promise<CheckedCall<Operation>> {
    const keyProblem = taskKeyProblem(key);
    // A body that is not an object lacks all fields, and the check names each of them.
    const checked = checkTaskRequest(operation, body);
    const problems = [...(keyProblem === undefined ? [] : [keyProblem]), ...(checked.ok ? [] : checked.problems)];
    if (!checked.ok || problems.length > 0) return { ok: false, problems };
    const run = this.operations[operation] as (
      key: string,
      request: unknown,
      validUntil?: number,
    ) => Promise<TaskAnswers[Operation]>;
    const answer = await this.following(run(String(key), checked.body, validUntil));
    this.log.debug({ operation, kind: answer.kind }, 'guard asked');
    return { ok: true, answer };
  }

  /** For callers over NATS, which always get a value. */
  async reply<Operation extends TaskOperation>(
    operation: Operation,
    call: unknown,
  ): Promise<GuardReply<TaskAnswers[Operation]>> {
    if (call instanceof UnreadableCall) return { ok: false, code: 'refused', message: describeProblem(call.problem) };
    const { key, request, validUntil } = (isGroup(call) ? call : {}) as Record<string, unknown>;
    // If an invalid time counted as no time limit, tasks would go to callers that have given up.
    if (validUntil !== undefined && !Number.isFinite(validUntil)) {
      const problem = { field: 'validUntil', found: describeValue(validUntil), wanted: 'ms since the epoch' };
      return { ok: false, code: 'refused', message: describeProblem(problem) };
    }
    if (Date.now() > Number(validUntil) + LATE_MS) {
      const message = 'it arrived after its caller had given up; if it did not, compare the clocks of the two machines';
      return { ok: false, code: 'unavailable', message };
    }
    try {
      const givenUpAt = validUntil === undefined ? undefined : Number(validUntil) + LATE_MS;
      const called = await this.call(operation, key, request, givenUpAt);
      if (called.ok) return called;
      return { ok: false, code: 'refused', message: called.problems.map(describeProblem).join('. ') };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.log.warn({ operation, error: message }, 'guard could not answer');
      return { ok: false, code: 'unavailable', message };
    }
  }

  /** Resolves when no request is in progress any more. */
  async whenIdle(): Promise<void> {
    while (this.underWay.size > 0) await Promise.allSettled(this.underWay);
  }

  private async following<T>(work: Promise<T>): Promise<T> {
    this.underWay.add(work);
    try {
      return await work;
    } finally {
      this.underWay.delete(work);
    }
  }

  private readonly operations = {
    acquire: (key, request, validUntil) => this.guard.acquire(key, request, validUntil),
    renew: (key, request, validUntil) => this.guard.renew(key, request, validUntil),
    release: (key, request) => this.guard.release(key, request),
    'approve-retry': (key, request) => this.guard.approve(key, request),
    end: (key, request) => this.guard.end(key, request),
  } satisfies {
    readonly [Operation in TaskOperation]: (
      key: string,
      request: never,
      validUntil?: number,
    ) => Promise<TaskAnswers[Operation]>;
  };
}

function isGroup(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
