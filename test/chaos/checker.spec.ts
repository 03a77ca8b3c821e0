import { expect, it } from 'vitest';
import { checkHistory } from './check-history.js';
import { rightHistory } from './right-history.js';
import { rightTaskHistory } from './right-tasks.js';
import { SABOTAGES } from './sabotage.js';
import { TASK_SABOTAGES } from './sabotage-tasks.js';

const ALL = [...SABOTAGES, ...TASK_SABOTAGES];

it('finds nothing in a history that is right', () => {
  expect(checkHistory(rightHistory())).toEqual([]);
  expect(checkHistory(rightTaskHistory())).toEqual([]);
});

it.each(ALL)('finds $breaks broken, and nothing else, when $title', ({ breaks, history }) => {
  const violations = checkHistory(history);
  expect(new Set(violations.map(({ invariant }) => invariant))).toEqual(new Set([breaks]));
});

it('has a sabotage for every invariant', () => {
  const broken = new Set(ALL.map(({ breaks }) => breaks));
  expect(broken).toEqual(new Set(['L1', 'L2', 'L3', 'L4', 'L5', 'L6', 'L7', 'G1', 'G2', 'G4', 'alive']));
});
