import { describe, expect, it } from 'vitest';
import { LanekeeperError, type TaskState, type TaskView } from '#contracts';
import { ProblemException } from '#http';
import { silentLogger } from '#telemetry';
import { TaskCalls, type TaskGuardPort } from './task-calls.provider.js';
import { TaskService, type TaskServiceParts } from './task-service.provider.js';

const KEY = 'main/s::deploy';
const view: TaskView = {
  ...{ key: KEY, state: 'running', runId: 'r', token: 3, startedAt: 1, attempts: 1, staleCount: 0, history: [] },
};

function serviceOf(guard: Partial<TaskGuardPort>, found?: TaskView) {
  const calls = new TaskCalls(guard as TaskGuardPort, silentLogger);
  return new TaskService(calls, {
    guard: { get: () => Promise.resolve(found) },
    directory: { list: (query) => Promise.resolve({ tasks: [view], next: query.limit }) },
    index: { counts: () => ({ running: 2 }) },
  });
}

const answering = (answer: unknown) => () => Promise.resolve(answer) as Promise<any>;

async function problemOf(told: Promise<unknown>): Promise<object> {
  const error = await told.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ProblemException)) throw new Error(`found ${String(error)}, wanted a problem`);
  return error.problem;
}

describe('what the routes of the guard answer', () => {
  it('a list with its next page and the total counts', async () => {
    const told = await serviceOf({}).list({ limit: 5, after: 0 });
    expect(told).toEqual({ tasks: [view], next: 5, counts: { running: 2 } });
  });

  it('a task, or that there is none', async () => {
    expect(await serviceOf({}, view).show(KEY)).toEqual(view);
    expect(await problemOf(serviceOf({}).show(KEY))).toMatchObject({ status: 404, code: 'not-found' });
  });

  it('a conflict of an acquire is an answer, not an error', async () => {
    const busy = { kind: 'already_running', runId: 'x', startedAt: 1, expiresAt: 2, own: false };
    const acquire = answering(busy);
    expect(await serviceOf({ acquire }).acquire(KEY, { requestId: 'q', runId: 'r' })).toEqual(busy);
  });

  it('422 for an invalid request, naming all problems', async () => {
    const problem = await problemOf(serviceOf({}).acquire(KEY, { requestId: 'q', ttlMs: 1 }));
    expect(problem).toMatchObject({ status: 422, errors: [{ field: 'runId' }, { field: 'ttlMs' }] });
  });

  it('G4 409 for a token that holds nothing, with the state of the task', async () => {
    const gone = answering({ kind: 'not_held', state: 'running', runId: 'other' });
    const service = serviceOf({ renew: gone, release: gone });
    const problem = { status: 409, code: 'not-held', extra: { state: 'running', runId: 'other' } };
    expect(await problemOf(service.renew(KEY, { token: 3 }))).toMatchObject(problem);
    expect(await problemOf(service.release(KEY, { token: 3, status: 'failed' }))).toMatchObject(problem);
    const never = serviceOf({ renew: answering({ kind: 'not_held', state: 'none' }) });
    expect(await problemOf(never.renew(KEY, { token: 3 }))).toMatchObject({ status: 409, extra: { state: 'none' } });
    const held = { kind: 'renewed', expiresAt: 5 };
    expect(await serviceOf({ renew: answering(held) }).renew(KEY, { token: 3 })).toEqual(held);
  });

  it('a release without a token is an operator’s', async () => {
    const ended = { kind: 'ended', state: 'cancelled' };
    expect(await serviceOf({ end: answering(ended) }).release(KEY, { by: 'ann' })).toEqual(ended);
    const none = serviceOf({ end: answering({ kind: 'not_held', state: 'none' }) });
    expect(await problemOf(none.release(KEY, { by: 'ann' }))).toMatchObject({ status: 404 });
    const other = serviceOf({ end: answering({ kind: 'not_held', state: 'failed', runId: 'x' }) });
    const problem = await problemOf(other.release(KEY, { by: 'ann', runId: 'r' }));
    expect(problem).toMatchObject({ status: 409, extra: { state: 'failed', runId: 'x' } });
  });

  it('a release with both is refused', async () => {
    const service = serviceOf({ end: answering({}), release: answering({}) });
    const problem = await problemOf(service.release(KEY, { by: 'ann', token: 3, status: 'failed' }));
    expect(problem).toMatchObject({ status: 422, errors: [{ field: 'by' }] });
    expect(await problemOf(service.release(KEY, undefined))).toMatchObject({ status: 422 });
  });

  it('G2 an approval, or why there is none and what to do', async () => {
    const approved = { kind: 'approved', by: 'ann', at: 1 };
    expect(await serviceOf({ approve: answering(approved) }).approve(KEY, { by: 'ann' })).toEqual(approved);
    const notWaiting = (state: TaskState | 'none') =>
      problemOf(serviceOf({ approve: answering({ kind: 'not_waiting', state }) }).approve(KEY, { by: 'ann' }));
    expect(await notWaiting('none')).toMatchObject({ status: 404 });
    const detail = expect.stringContaining('wait until it ends');
    expect(await notWaiting('running')).toMatchObject({ status: 409, code: 'not-waiting', detail });
    const expired = { status: 409, detail: expect.stringContaining('lanekeeper tasks release') };
    expect(await notWaiting('approval_expired')).toMatchObject(expired);
  });
});

function serviceThatFails(failure: Error): TaskService {
  const call = async (): Promise<never> => {
    throw failure;
  };
  const calls = { call } as unknown as TaskCalls;
  return new TaskService(calls, {} as TaskServiceParts);
}

it('a task with too many simultaneous requests is 503 with Retry-After, not an error of the guard', async () => {
  const service = serviceThatFails(new LanekeeperError('task_contended', 'too many at once'));
  const failure: unknown = await service.acquire('key', {}).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ProblemException);
  expect((failure as ProblemException).problem).toMatchObject({
    ...{ status: 503, code: 'task-contended', detail: 'too many at once', retryAfterS: 1 },
  });
});

it('an unexpected error stays as it is', async () => {
  const cause = new Error('what is this');
  await expect(serviceThatFails(cause).approve('key', { by: 'ana' })).rejects.toBe(cause);
});
