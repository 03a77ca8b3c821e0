import { checkTaskRequest, type Clock, type SessionTokens, type TaskOperation } from '#contracts';
import {
  GuardRefusedError,
  GuardUnavailableError,
  TaskGuard,
  TaskLookup,
  type GuardCallOptions,
  type GuardClient,
  type TaskFailure,
  type TaskSettings,
} from '#guards';
import type { Batch } from '#lanes';
import { silentLogger, type Logger } from '#telemetry';
import { ManualClock } from '#testing';
import { MemoryTaskStore } from '../../../../libs/guards/src/tasks/memory-task-store.js';
import { GuardedRuns } from './guarded-runs.js';
import type { TaskRunner } from './held-task.js';
import { HoldingsElsewhere } from './holdings-elsewhere.js';
import { RunHoldings } from './run-holdings.js';
import { RunTasks } from './run-tasks.js';
import { TaskReleases } from './task-releases.js';
import { UnclearRequests } from './unclear-requests.js';

/** Failures that workers could not report to the guard, stored where it looks. */
export class FailuresInMemory {
  readonly reported = new Map<string, TaskFailure>();

  async report(key: string, failure: TaskFailure): Promise<void> {
    this.reported.set(key, failure);
  }

  async find(key: string, { runId, token }: { readonly runId: string; readonly token: number }) {
    const failure = this.reported.get(key);
    return failure?.runId === runId && (failure.token ?? token) === token ? failure : undefined;
  }
}

interface Asked {
  readonly operation: TaskOperation;
  readonly key: string;
  readonly request: Readonly<Record<string, unknown>>;
}

/** A guard in this process. It can be away, slow, or lose its replies: then it has done what was requested. */
export class GuardDouble
  implements Pick<GuardClient, 'acquire' | 'renew' | 'release' | 'end'>, Pick<TaskLookup, 'conflictOn'>
{
  readonly guard: TaskGuard;
  readonly failures = new FailuresInMemory();
  private readonly lookup: TaskLookup;
  readonly asked: Asked[] = [];
  /** Keys that were checked. */
  readonly looks: string[] = [];
  isAway = false;
  losesReplies = false;
  slowMs = 0;

  constructor(private readonly clock: Clock) {
    const store = new MemoryTaskStore(clock);
    this.guard = new TaskGuard({
      store,
      clock,
      keepMs: 86_400_000,
      keepFailedMs: 'unlimited',
      failures: this.failures,
      onEvent: () => {},
    });
    this.lookup = new TaskLookup(store, clock);
  }

  readonly acquire: GuardClient['acquire'] = (key, request, options) =>
    this.call('acquire', key, request, options, () => this.guard.acquire(key, request));
  readonly renew: GuardClient['renew'] = (key, request, options) =>
    this.call('renew', key, request, options, () => this.guard.renew(key, request));
  readonly release: GuardClient['release'] = (key, request, options) =>
    this.call('release', key, request, options, () => this.guard.release(key, request as never));
  readonly end: GuardClient['end'] = (key, request, options) =>
    this.call('end', key, request, options, () => this.guard.end(key, request as never));

  readonly conflictOn: TaskLookup['conflictOn'] = (key) => {
    this.looks.push(key);
    return this.isAway ? Promise.reject(new Error('the broker is away')) : this.lookup.conflictOn(key);
  };

  async stateOf(key: string): Promise<string | undefined> {
    const task = await this.guard.get(key);
    return task?.state;
  }

  /** Requests of one kind, in order. */
  of(operation: TaskOperation): Asked['request'][] {
    return this.asked.flatMap((asked) => (asked.operation === operation ? [asked.request] : []));
  }

  private async call<Answer>(
    operation: TaskOperation,
    key: string,
    request: object,
    { withinMs = UNBOUNDED_MS }: GuardCallOptions = {},
    ask: () => Promise<Answer>,
  ): Promise<Answer> {
    this.asked.push({ operation, key, request: request as Asked['request'] });
    if (!this.isAway) {
      if (this.slowMs > 0) await this.pass(this.slowMs);
      const checked = checkTaskRequest(operation, JSON.parse(JSON.stringify(request)));
      if (!checked.ok) throw new GuardRefusedError(checked.problems.map(({ field }) => field).join());
      const answer = await ask();
      if (!this.losesReplies) return answer;
    }
    await this.pass(withinMs);
    throw new GuardUnavailableError(withinMs);
  }

  private pass(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.after(ms, resolve));
  }
}

export const sessionKey: SessionTokens & { shard: number } = {
  ...{ shard: 0, agentToken: 'main', sessionToken: 'telegram=3A42' },
};
/** The task that the message of `batchOf` starts. */
export const TASK = 'main/telegram:42::deploy';
export const TTL_MS = 30_000;
export const WITHIN_MS = 2_000;
/** Timeout of a call without its own bound: it differs from that in the settings. */
export const UNBOUNDED_MS = 2_500;

export function batchOf(more: Partial<Batch> = {}): Batch {
  return {
    ...{ runId: 'r', attempt: 1, crashes: 0, failures: 0, isQuarantined: false, isCondemned: false },
    ...{ isConcurrent: false, items: [], lowestSeq: 1, summarized: 0 },
    ...more,
  };
}

export interface GuardedOptions {
  readonly whenUnavailable?: 'closed' | 'open';
  readonly answerWithinMs?: number;
  /** Attempts of tasks - default 3, so that a failed one stays held. */
  readonly maxAttempts?: number;
  readonly log?: Logger;
  /** Another worker of the same installation. */
  readonly beside?: { readonly clock: ManualClock; readonly guard: GuardDouble };
}

/** The task parts of a worker, with a guard in this process. */
export function guardedWorker({
  whenUnavailable = 'closed',
  maxAttempts = 3,
  answerWithinMs = WITHIN_MS,
  log = silentLogger,
  beside,
}: GuardedOptions = {}) {
  const clock = beside?.clock ?? new ManualClock();
  const guard = beside?.guard ?? new GuardDouble(clock);
  let requests = 0;
  const settings = {
    guard: {
      ttlMs: TTL_MS,
      stale: 'heal',
      maxAttempts,
      whenUnavailable,
      answerWithinMs,
      keepMs: 1,
      keepFailedMs: 'unlimited',
      sweepMs: 1,
    },
    agents: { main: {} },
  } satisfies TaskSettings;
  const name = beside === undefined ? 'w' : 'w2';
  const newRequestId = (): string => `${name}-${++requests}`;
  const tasks = new RunTasks({
    client: guard,
    failures: guard.failures,
    clock,
    newRequestId,
    guard: settings.guard,
    log,
  });
  const elsewhere = new HoldingsElsewhere({
    client: guard,
    failures: guard.failures,
    clock,
    withinMs: answerWithinMs,
    worker: name,
    log,
  });
  const guarded = new GuardedRuns({ tasks, elsewhere, lookup: guard, settings, log });
  return { clock, guard, tasks, elsewhere, guarded, kept: () => keptIn(guarded, tasks, elsewhere) };
}

/** What these parts of a worker still know of runs, by field. Empty when all runs have ended. */
function keptIn(...parts: readonly object[]): string[] {
  return parts.flatMap((part) =>
    Object.entries(part).flatMap(([name, value]) => {
      if (value instanceof Map || value instanceof Set) return value.size === 0 ? [] : [name];
      return value instanceof RunHoldings || value instanceof TaskReleases || value instanceof UnclearRequests
        ? keptIn(value)
        : [];
    }),
  );
}

/** One attempt of a run. */
export function attemptOf(runId = 'r'): TaskRunner & { readonly end: () => void } {
  const controller = new AbortController();
  return { runId, owner: 'main/s', over: controller.signal, end: () => controller.abort(new Error('over')) };
}

/** A promise and the function that ends it. */
export const gate = <T = void>(): PromiseWithResolvers<T> => Promise.withResolvers<T>();
