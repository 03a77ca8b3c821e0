import { expect, it } from 'vitest';
import { checkHistory } from './check-history.js';
import { checkLateCalls } from './checks/late-calls.js';
import { checkOutsideHolders } from './checks/outside-holders.js';
import { checkSecondCalls } from './checks/second-calls.js';
import { checkTaskCalls } from './checks/task-calls.js';
import { checkTaskTokens } from './checks/task-tokens.js';
import type { Call, Span, TaskLine } from './history.js';
import { call, every, HEAD, line, rightHistory, runOf, STOPPED } from './right-history.js';
import { OPEN, rightTaskHistory } from './right-tasks.js';
import { SABOTAGES } from './sabotage.js';
import { TASK_SABOTAGES } from './sabotage-tasks.js';
import { bySession } from './session-history.js';
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

it('does not blame a holder from which an operator took a task, before the time at which it must have renewed', () => {
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
    return checkTaskTokens({ ...rightHistory(), calls, tasks }, holdingsOf({ tasks, calls, guardClocksMs: 0 }));
  };
  expect(found(200 + MOST_TTL_MS)).toEqual([]);
  expect(found(201 + MOST_TTL_MS)).toMatchObject([{ invariant: 'G4' }]);
});

it.each([
  ['cut off beyond its time', { stopped: [], cutOff: [{ from: 1_500, to: 8_900 }] }],
  ['killed', { stopped: [], endedAt: 4_450 }],
  ['told to stop', { stopped: [], toldToStopAt: 1_600 }],
] as const)('blames no worker for a turn that is called again when its process was %s (L8)', (_what, change) => {
  const right = rightHistory();
  const lives = right.lives.map((life) => (life.name === STOPPED ? { ...life, ...change } : life));
  const history = { ...right, lives };
  expect(checkSecondCalls(history, bySession(history))).toEqual([]);
});

it('blames no worker for the rest of a batch of which a part was cancelled, also in the moment of its answer (L8)', () => {
  const right = rightHistory();
  const rest = [...right.calls, call(30, 'slow:7', [7, 9], 2_400, 2_410)];
  const answered = rest.map((one) => ({ ...one, isHungUp: false }));
  const uncancelled = right.records.filter(({ seq }) => seq !== 7);
  const found = (calls: readonly Call[], records = right.records) =>
    checkSecondCalls(right, bySession({ ...right, calls, records }));
  expect(found(rest)).toEqual([]);
  expect(found(answered)).toEqual([]);
  expect(found(answered, uncancelled)).toMatchObject([{ invariant: 'L8' }]);
});

it('blames no worker for the call of an attempt whose process was stopped before it, but for a later one of such a process (L8)', () => {
  const right = rightHistory();
  const found = (startedAt: number, attempt: number) => {
    const late = call(1, 'slow:1', [1, 3], startedAt, startedAt + 10, { life: STOPPED, attempt });
    return checkSecondCalls(right, bySession({ ...right, calls: [...right.calls.slice(1), late] }));
  };
  expect(found(10_500, 1)).toEqual([]);
  expect(found(12_500, 1)).toMatchObject([{ invariant: 'L8' }]);
  expect(found(10_500, 3)).toMatchObject([{ invariant: 'L8' }]);
});

it('blames no worker for an attempt after one whose time was over, by the note that counts its failure (L8)', () => {
  const right = rightHistory();
  const runId = runOf('slow:10', 10);
  const calls = [
    ...right.calls.filter(({ n }) => n !== 8),
    call(8, 'slow:10', [10], 2_300, 2_380, { isHungUp: true }),
    call(31, 'slow:10', [10], 2_400, 2_410, { attempt: 2 }),
  ];
  const noted = (counts: { readonly failures?: number; readonly crashes: number }) => {
    const run = { runId, seqs: [10], attempt: 2, ...counts };
    const note = line('slow:10', 8.5, 0, { ...HEAD, done: [], kind: 'note', upto: 0, messages: [], run });
    const records = right.records.flatMap((one) => (one.seq === 9 ? [note, one] : [one]));
    return checkSecondCalls(right, bySession({ ...right, calls, records }));
  };
  expect(noted({ failures: 1, crashes: 0 })).toEqual([]);
  expect(noted({ crashes: 1 })).toMatchObject([{ invariant: 'L8' }]);
});

it('takes a worker for dead that was cut off though its renewals were heard, and no other one', () => {
  const right = rightHistory();
  const found = (cutOff: readonly Span[]) => {
    const lives = right.lives.map((life) => ({ ...life, stopped: [], cutOff, renewedAt: every(400, 0, 21_000) }));
    return checkHistory({ ...right, lives: lives.map((life, n) => (n === 0 ? life : { ...life, cutOff: [] })) });
  };
  expect(found([{ from: 1_500, to: 8_900 }])).toEqual([]);
  // It was over long before the other took its turn.
  const blamed = found([{ from: 200, to: 500 }]).map(({ invariant }) => invariant);
  expect(blamed).toEqual(['L1', 'L1', 'L8']);
});

it('blames no worker that began when it was back, a moment before its renewal was heard here (L4)', () => {
  const right = rightHistory();
  const backAt = 8_950;
  const found = (at: number) =>
    checkLateCalls({
      ...right,
      starts: [{ runId: runOf('probe:4', 4), attempt: 1, incarnation: 'worker-0/1', at }],
      calls: [call(40, 'probe:4', [4], at + 2, at + 3, { life: STOPPED })],
    });
  expect(found(backAt - 20)).toEqual([]);
  expect(found(backAt - 40)).toMatchObject([{ invariant: 'L4' }]);
});

it('blames no program outside whose task an operator ended before it was seen with its token (G1)', () => {
  const key = 'outside::job-1';
  const holding = (runId: string, token: number, from: number, to: number) => ({
    key,
    runId,
    token,
    from,
    to,
    blocksUntil: to,
  });
  const outside = [holding('o-1', 10, 1_000, 2_000), holding('o-2', 11, 1_200, 2_200)];
  const acquired = { key, what: 'acquired' as const, at: 1_000, runId: 'o-1' };
  const ended = { key, what: 'ended' as const, at: 1_100, runId: 'o-1', by: OPERATOR };
  const found = (tasks: TaskLine[]) => {
    const history = { ...rightHistory(), outside, tasks };
    return checkOutsideHolders(history, holdingsOf(history));
  };
  expect(found([acquired, ended])).toEqual([]);
  expect(found([acquired])).toMatchObject([{ invariant: 'G1' }]);
});

it('blames no holder of an open task that went on while no guard answered it (G1)', () => {
  const right = rightTaskHistory();
  const key = OPEN;
  const calls = [
    call(50, 'hands:30', [30], 2_010, 2_900, { task: { key, token: 10 } }),
    call(51, 'hands:30', [30], 2_500, 2_950, { attempt: 2, task: { key, token: 11 } }),
  ];
  const found = (faults: typeof right.faults) => {
    const history = { ...right, calls, faults };
    return checkTaskCalls(history, holdingsOf(history));
  };
  expect(found([{ kind: 'cut worker off', target: 'worker-0', from: 2_020, to: 2_900 }])).toEqual([]);
  expect(found([])).toMatchObject([{ invariant: 'G1' }]);
});

it('blames no worker for a request that came when its turn was over, but for one that came before (L1, L8)', () => {
  const right = rightHistory();
  const runId = runOf('slow:10', 10);
  const [former] = right.calls.filter(({ session }) => session === 'slow:10');
  const recordedAt = right.records.find(({ record }) => record.kind === 'turn' && record.runId === runId)?.at ?? 0;
  const found = (startedAt: number, isHungUp: boolean) => {
    const late = call(60, 'slow:10', [10], startedAt, startedAt + 1, { isHungUp, attempt: former?.attempt ?? 1 });
    return checkSecondCalls(right, bySession({ ...right, calls: [...right.calls, late] }));
  };
  expect(found(recordedAt + 10, true)).toEqual([]);
  expect(found(recordedAt + 10, false)).toMatchObject([{ invariant: 'L8' }]);
  expect(found(recordedAt - 1, true)).toMatchObject([{ invariant: 'L8' }]);
});

it('has a sabotage for every invariant', () => {
  const broken = new Set(ALL.map(({ breaks }) => breaks));
  expect(broken).toEqual(new Set(['L1', 'L2', 'L3', 'L4', 'L5', 'L6', 'L7', 'L8', 'G1', 'G2', 'G3', 'G4', 'alive']));
});
