import { describe, expect, it } from 'vitest';
import { Names, type TaskConflict, type TaskState } from '#contracts';
import type { TaskSettings } from '#guards';
import type { ProblemException } from '#http';
import { DeadLetterService } from './dead-letter.provider.js';
import type { DeadEntry, DeadLetters } from './dead-letters.client.js';

const entry = {
  ...{ deadId: 'main.s.3', key: new Names('lk', 64).sessionTokens('main', 's'), agent: 'main', session: 's' },
  letter: { messageId: 'm3', seq: 3, message: { v: 1, kind: 'message', id: 'm3', text: '/deploy now' } },
} as unknown as DeadEntry;
const settings = { guard: {}, agents: { main: { taskFrom: { commands: ['/deploy'] } } } } as unknown as TaskSettings;

/** One dead message that starts a task, which stands as told. */
function setUp(found?: { readonly state: TaskState; readonly conflict: TaskConflict }) {
  const done: string[] = [];
  const letters: Pick<DeadLetters, 'find' | 'retry' | 'drop'> = {
    find: (deadId) => (done.push(`find ${deadId}`), Promise.resolve(deadId === entry.deadId ? entry : undefined)),
    retry: ({ deadId }) => (
      done.push(`retry ${deadId}`),
      Promise.resolve({ messageId: 'm3', seq: 9, duplicate: false })
    ),
    drop: ({ deadId }) => (done.push(`drop ${deadId}`), Promise.resolve()),
  };
  const tasks = { conflictOn: (key: string) => (done.push(`look at ${key}`), Promise.resolve(found)) };
  return { service: new DeadLetterService(letters as DeadLetters, tasks, settings), done };
}

const running: TaskConflict = { kind: 'already_running', runId: 'r', startedAt: 1, expiresAt: 2, own: false };
const failed: TaskConflict = {
  ...{ kind: 'approval_required', failedRunId: 'r', failedAt: 1, error: { name: 'E', message: '' }, attempts: 1 },
};

describe('the retry of a dead message', () => {
  it('is sent when its task is free; the entry is looked up once', async () => {
    const { service, done } = setUp();
    expect(await service.retry('main.s.3')).toEqual({ deadId: 'main.s.3', messageId: 'm3', seq: 9, duplicate: false });
    expect(done).toEqual(['find main.s.3', 'look at main/s::deploy', 'retry main.s.3']);
  });

  it.each<[TaskState, TaskConflict, string]>([
    ['running', running, 'wait until it ends'],
    ['failed', failed, 'lanekeeper tasks approve-retry'],
    ['approval_expired', { ...failed, approvalExpired: true }, 'lanekeeper tasks release'],
  ])('is refused with the way out while its task is %s, and the entry stays', async (state, conflict, remedy) => {
    const { service, done } = setUp({ state, conflict });
    const { problem } = (await service.retry('main.s.3').catch((error: unknown) => error)) as ProblemException;
    expect(problem).toMatchObject({ status: 409, code: 'task-not-free', extra: { task: 'main/s::deploy', state } });
    expect(problem.detail).toContain(remedy);
    expect(done).not.toContain('retry main.s.3');
  });
});

it('a dead message that is not there is a 404, whatever is to be done with it', async () => {
  const { service, done } = setUp();
  for (const asked of [service.show('x'), service.retry('x'), service.drop('x')]) {
    await expect(asked).rejects.toMatchObject({ problem: { status: 404 } });
  }
  expect(done).toEqual(['find x', 'find x', 'find x']);
});
