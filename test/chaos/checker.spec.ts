import { expect, it } from 'vitest';
import { checkHistory } from './check-history.js';
import { checkTaskTokens } from './checks/task-tokens.js';
import type { Call, Span, TaskLine } from './history.js';
import { call, every, rightHistory } from './right-history.js';
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

it('takes for dead who was cut off though its renewals were heard, and nobody else', () => {
  const right = rightHistory();
  const found = (cutOff: readonly Span[]) => {
    const lives = right.lives.map((life) => ({ ...life, stopped: [], cutOff, renewedAt: every(400, 0, 21_000) }));
    return checkHistory({ ...right, lives: lives.map((life, n) => (n === 0 ? life : { ...life, cutOff: [] })) });
  };
  expect(found([{ from: 1_500, to: 8_900 }])).toEqual([]);
  // It was over long before the other took its turn.
  expect(found([{ from: 200, to: 500 }])).toMatchObject([{ invariant: 'L1' }, { invariant: 'L1' }]);
});

it('has a sabotage for every invariant', () => {
  const broken = new Set(ALL.map(({ breaks }) => breaks));
  expect(broken).toEqual(new Set(['L1', 'L2', 'L3', 'L4', 'L5', 'L6', 'L7', 'G1', 'G2', 'G4', 'alive']));
});
