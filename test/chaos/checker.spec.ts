import { expect, it } from 'vitest';
import { checkHistory } from './check-history.js';
import { checkTaskTokens } from './checks/task-tokens.js';
import type { Call, TaskLine } from './history.js';
import { call, rightHistory } from './right-history.js';
import { rightTaskHistory } from './right-tasks.js';
import { SABOTAGES } from './sabotage.js';
import { TASK_SABOTAGES } from './sabotage-tasks.js';
import { holdingsOf } from './task-holdings.js';
import { MOST_TTL_MS, OPERATOR } from './tasks.js';

const ALL = [...SABOTAGES, ...TASK_SABOTAGES];

it('finds nothing in a history that is right', () => {
  expect(checkHistory(rightHistory())).toEqual([]);
  expect(checkHistory(rightTaskHistory())).toEqual([]);
});

it.each(ALL)('finds $breaks broken, and nothing else, when $title', ({ breaks, history }) => {
  const violations = checkHistory(history);
  expect(new Set(violations.map(({ invariant }) => invariant))).toEqual(new Set([breaks]));
});

it('blames nobody from whom an operator took a task, before the time at which it must have renewed', () => {
  const key = 'chaos::deploy-0';
  const step = (what: TaskLine['what'], at: number, runId: string, more: Partial<TaskLine> = {}): TaskLine => ({
    ...{ key, what, at, runId },
    ...more,
  });
  const tasks = [
    step('acquired', 90, 'x', { token: 10 }),
    step('ended', 200, 'x', { by: OPERATOR }),
    step('acquired', 290, 'y', { token: 11 }),
  ];
  const callAt = (n: number, startedAt: number, token: number, runId: string): Call =>
    call(n, 'task:1', [1], startedAt, startedAt + 10, { runId, task: { key, token } });
  const found = (lateAt: number) => {
    const calls = [callAt(1, 100, 10, 'x'), callAt(2, 300, 11, 'y'), callAt(3, lateAt, 10, 'x')];
    return checkTaskTokens({ ...rightHistory(), calls, tasks }, holdingsOf({ tasks, calls }));
  };
  expect(found(200 + MOST_TTL_MS)).toEqual([]);
  expect(found(201 + MOST_TTL_MS)).toMatchObject([{ invariant: 'G4' }]);
});

it('has a sabotage for every invariant', () => {
  const broken = new Set(ALL.map(({ breaks }) => breaks));
  expect(broken).toEqual(new Set(['L1', 'L2', 'L3', 'L4', 'L5', 'L6', 'L7', 'G1', 'G2', 'G4', 'alive']));
});
