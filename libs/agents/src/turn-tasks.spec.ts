import { describe, expect, it } from 'vitest';
import { Turn, TurnOverError, type TurnStart } from './turn.js';
import { NoTasksError, TaskNameError, type TaskKeeper } from './turn-tasks.js';

function makeTurn(more: Partial<TurnStart> = {}) {
  const asked: unknown[] = [];
  const tasks: TaskKeeper = {
    run: async (key, fn, options) => {
      asked.push([key, options]);
      return { kind: 'ran', result: await fn({ key, token: 7, signal: new AbortController().signal }) };
    },
  };
  const turn = new Turn({
    ...{ runId: 'r', attempt: 1, agentToken: 'main', sessionToken: 'telegram=3A42', messages: [{ id: 'm', seq: 1 }] },
    ...{ state: undefined, deadline: 5_000, signal: new AbortController().signal, trace: undefined, tasks },
    ...more,
  });
  return { turn, asked };
}

describe('turn.tasks', () => {
  it('names a task by its name in this session, or by one that sessions share', async () => {
    const { turn, asked } = makeTurn();
    expect(await turn.tasks.run('deploy', ({ key, token }) => [key, token])).toEqual({
      ...{ kind: 'ran', result: ['main/telegram:42::deploy', 7] },
    });
    const options = { ttlMs: 5_000, stale: 'approve' as const };
    await turn.tasks.run({ name: 'deploy', namespace: 'shop' }, () => {}, options);
    expect(asked).toEqual([
      ['main/telegram:42::deploy', {}],
      ['shop::deploy', options],
    ]);
    expect(turn.tasks).toBe(turn.tasks);
  });

  it.each<[unknown, string]>([
    ['', 'found an empty text as its name'],
    ['a::b', 'found a text of 4 bytes as its name'],
    [':a', 'as its name'],
    ['SECRET\n', 'found a text of 7 bytes as its name'],
    ['x'.repeat(129), 'found a text of 129 bytes as its name'],
    [undefined, 'found nothing as its name'],
    [null, 'found null as its name'],
    [5, 'found the number 5 as its name'],
    [{}, 'found nothing as its name'],
    [{ name: 'a', namespace: '' }, 'found an empty text as its namespace'],
    [{ name: 'a', namespace: null }, 'found null as its namespace'],
    [{ name: 'a', namespace: 'x\0' }, 'found a text of 2 bytes as its namespace'],
  ])('refuses %j before the guard is asked', async (task, message) => {
    const { turn, asked } = makeTurn();
    const told = turn.tasks.run(task as string, () => {});
    await expect(told).rejects.toThrow(TaskNameError);
    await expect(told).rejects.toThrow(message);
    await expect(told).rejects.not.toThrow('SECRET');
    expect(asked).toEqual([]);
  });

  it('says that the turn has no guard when its runner was made without one', async () => {
    const { turn } = makeTurn({ tasks: undefined });
    await expect(turn.tasks.run('deploy', () => {})).rejects.toThrow(NoTasksError);
  });

  it('L1 acquires nothing for a turn that is over, also through a kept `turn.tasks`', async () => {
    const { turn, asked } = makeTurn();
    const { tasks } = turn;
    turn.finish();
    await expect(tasks.run('deploy', () => {})).rejects.toThrow(TurnOverError);
    await expect(turn.tasks.run('deploy', () => {})).rejects.toThrow(TurnOverError);
    expect(asked).toEqual([]);
  });

  it('uses the keeper only when the handler asks for a task', async () => {
    let asked = 0;
    const start = Object.defineProperty({}, 'tasks', { enumerable: true, get: () => void asked++ });
    const { turn } = makeTurn();
    const lazy = new Turn(Object.defineProperties({ ...startOf(turn) }, Object.getOwnPropertyDescriptors(start)));
    lazy.reply('x');
    lazy.finish();
    expect(asked).toBe(0);
  });
});

function startOf({ runId, attempt, messages, signal, trace }: Turn): TurnStart {
  const tokens = { agentToken: 'main', sessionToken: 's' };
  return { runId, attempt, messages, signal, trace, ...tokens, state: undefined, deadline: 5_000 };
}
