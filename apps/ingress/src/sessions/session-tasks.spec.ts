import { describe, expect, it } from 'vitest';
import { jsonText, type TaskState, type TaskView } from '#contracts';
import { SessionTasks } from './session-tasks.js';

const view = (key: string, state: TaskState = 'running', more: Partial<TaskView> = {}): TaskView => ({
  ...{ key, state, runId: 'r', token: 7, startedAt: 1, attempts: 1, staleCount: 0 },
  ...{ meta: jsonText({ a: 1 }), history: [{ at: 1, what: 'acquired' }] },
  ...more,
});

function tasksOf(own: readonly TaskView[], others: readonly TaskView[] = []) {
  const asked: unknown[] = [];
  const tasks = new SessionTasks(
    { list: (query) => (asked.push(query), Promise.resolve({ tasks: [...own] })) },
    { get: (key) => (asked.push(key), Promise.resolve(others.find((task) => task.key === key))) },
  );
  return { asked, of: (held?: readonly string[]) => tasks.of('main/s', held) };
}

describe('the tasks of a session', () => {
  it('are those of its scope that run or wait for an approval, without what the routes of the guard tell', async () => {
    const error = { name: 'E', message: 'm' };
    const failed = view('main/s::b', 'failed', { endedAt: 5, status: 'failed', error });
    const states = (['stale', 'approved', 'approval_expired'] as const).map((state) => view(`main/s::${state}`, state));
    const { of, asked } = tasksOf([view('main/s::a', 'running', { expiresAt: 9 }), failed, ...states]);
    const told = await of();
    expect(told.slice(0, 2)).toEqual([
      { key: 'main/s::a', state: 'running', runId: 'r', startedAt: 1, expiresAt: 9 },
      { key: 'main/s::b', state: 'failed', runId: 'r', startedAt: 1, endedAt: 5, status: 'failed', error },
    ]);
    expect(told.map(({ state }) => state)).toEqual(['running', 'failed', 'stale', 'approved', 'approval_expired']);
    expect(asked).toEqual([{ scope: 'main/s', isOpen: true, limit: 1_000, after: 0 }]);
  });

  it('and shared ones that its runs hold, each once', async () => {
    const { of, asked } = tasksOf([view('main/s::a')], [view('shop::x'), view('shop::over', 'succeeded')]);
    const told = await of(['main/s::a', 'shop::x', 'shop::x', 'shop::over', 'shop::gone']);
    expect(told.map(({ key }) => key)).toEqual(['main/s::a', 'shop::x']);
    expect(asked.slice(1)).toEqual(['shop::x', 'shop::over', 'shop::gone']);
  });
});
