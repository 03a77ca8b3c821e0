import { expect, it } from 'vitest';
import { LanekeeperError } from '#contracts';
import { ProblemException } from '#http';
import type { TaskCalls } from './task-calls.provider.js';
import { TaskService, type TaskServiceParts } from './task-service.provider.js';

function serviceThatFails(failure: Error): TaskService {
  const call = async (): Promise<never> => {
    throw failure;
  };
  const calls = { call } as unknown as TaskCalls;
  return new TaskService(calls, {} as TaskServiceParts);
}

it('a task that too many ask for at once is 503 with Retry-After, not an error of the guard', async () => {
  const service = serviceThatFails(new LanekeeperError('task_contended', 'too many at once'));
  const failure: unknown = await service.acquire('key', {}).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ProblemException);
  expect((failure as ProblemException).problem).toMatchObject({
    ...{ status: 503, code: 'task-contended', detail: 'too many at once', retryAfterS: 1 },
  });
});

it('what nobody foresaw stays what it is', async () => {
  const cause = new Error('what is this');
  await expect(serviceThatFails(cause).approve('key', { by: 'ana' })).rejects.toBe(cause);
});
