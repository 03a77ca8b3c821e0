import type { Call, History, LifeLine, OutsideHolding, TaskLine, Violation } from './history.js';
import { result, runOf, STANDING } from './right-history.js';
import { BUILD, CAREFUL, DEPLOY, OUTSIDE, rightTaskHistory } from './right-tasks.js';
import type { Sabotage } from './sabotage.js';

const right = rightTaskHistory();

function sabotage(breaks: Violation['invariant'], title: string, change: Partial<History>): Sabotage {
  return { breaks, title, history: { ...right, ...change } };
}

function calls(n: number, change: Partial<Call>): Pick<History, 'calls'> {
  return { calls: right.calls.map((call) => (call.n === n ? { ...call, ...change } : call)) };
}

/** The steps of one task for which this holds are changed, or gone. */
function steps(
  key: string,
  is: (step: TaskLine) => boolean,
  change: (step: TaskLine) => TaskLine[],
): Pick<History, 'tasks'> {
  return { tasks: right.tasks.flatMap((step) => (step.key === key && is(step) ? change(step) : [step])) };
}

function outside(runId: string, change: Partial<OutsideHolding>): Pick<History, 'outside'> {
  return { outside: right.outside.map((one) => (one.runId === runId ? { ...one, ...change } : one)) };
}

const gone = (): TaskLine[] => [];
const isOf =
  (what: TaskLine['what'], seq?: number) =>
  (step: TaskLine): boolean =>
    step.what === what && (seq === undefined || step.runId === runOf(`task:${seq}`, seq));

/** A call of the session that was refused, which was given no task. */
const another = (change: Partial<Call>): Pick<History, 'calls'> => ({
  calls: [
    ...right.calls,
    {
      ...{ n: 90, session: 'task:21', runId: runOf('task:21', 21), attempt: 1, messages: [{ id: 'm21', seq: 21 }] },
      ...{
        digest: 'x',
        life: STANDING,
        startedAt: 2_950,
        endedAt: 2_960,
        isHungUp: false,
        isFailure: false,
        ...change,
      },
    },
  ],
});
const nobodyAllows = steps(DEPLOY, isOf('approved'), gone);

export const TASK_SABOTAGES: readonly Sabotage[] = [
  sabotage('G1', 'a task is given away while it is held', {
    ...steps(DEPLOY, isOf('released', 22), gone),
  }),
  sabotage('G1', 'a holding that is over ends again', {
    ...steps(DEPLOY, isOf('released', 22), (step) => [step, { ...step, what: 'stale', at: 3_300 }]),
  }),
  sabotage('G1', 'a task is given away before the time of its holder is over', {
    ...steps(BUILD, isOf('stale'), (step) => [{ ...step, at: 4_655 }]),
  }),
  sabotage('G1', 'a message with a task runs without it', calls(22, { task: undefined as never })),
  sabotage('G1', 'a message without a task has one', {
    inbox: right.inbox.map(({ task, ...line }) => (task === undefined || line.seq === 22 ? line : { ...line, task })),
  }),
  sabotage('G1', 'two work on one task, and the holder of the first stands', calls(22, { endedAt: 3_450 })),
  sabotage('G1', 'two work on one task long after an operator ended the first', {
    calls: [
      ...calls(27, { endedAt: 9_000 }).calls,
      ...another({ startedAt: 8_100, endedAt: 8_200, task: { key: DEPLOY, token: 107 } }).calls.slice(-1),
    ],
    tasks: [...right.tasks, { key: DEPLOY, what: 'acquired', at: 8_050, token: 107, runId: runOf('task:21', 21) }],
  }),
  sabotage('G1', 'two work under one token', {
    calls: right.calls.map((call) => {
      if (call.n !== 20) return call;
      const twice = { attempt: 2, startedAt: 2_695, endedAt: 2_705, task: { key: DEPLOY, token: 101 } };
      return { ...call, ...twice, life: 'worker-0#1', isHungUp: false };
    }),
  }),
  sabotage('G2', 'a task runs again without an approval', { ...nobodyAllows, approvals: right.approvals.slice(1) }),
  sabotage('G2', 'one approval lets two through', {
    ...steps(DEPLOY, isOf('released', 22), (step) => [{ ...step, status: 'failed' }]),
  }),
  sabotage('G2', 'a stale holding that asks for approval is healed', {
    ...steps(CAREFUL, isOf('approved'), gone),
    approvals: right.approvals.slice(0, 1),
  }),
  sabotage('G2', 'an approval that was answered is lost', {
    approvals: [...right.approvals, { key: BUILD, runId: runOf('task:24', 24), at: 4_800 }],
  }),
  sabotage('G2', 'what needs no approval is approved', {
    ...steps(DEPLOY, isOf('released', 22), (step) => [step, { ...step, what: 'approved', at: 3_300 }]),
  }),
  sabotage('G2', 'a dead run has freed its task', {
    ...steps(DEPLOY, isOf('ended'), ({ by: _by, ...step }) => [{ ...step, what: 'released' }]),
  }),
  sabotage('G2', 'an agent is called again after a caller freed it who is no operator', {
    ...steps(DEPLOY, isOf('approved'), (step) => [{ ...step, what: 'ended', status: 'cancelled', by: 'worker-1/1' }]),
    approvals: right.approvals.slice(1),
  }),
  sabotage('G4', 'a later holding has a smaller token', {
    ...steps(DEPLOY, isOf('acquired', 22), (step) => [{ ...step, token: 99 }]),
    ...calls(22, { task: { key: DEPLOY, token: 99 } }),
  }),
  sabotage('G4', 'an attempt has the token of the one before it', calls(21, { task: { key: DEPLOY, token: 100 } })),
  sabotage('G4', 'a call has a token that no holder has', calls(22, { task: { key: DEPLOY, token: 104 } })),
  sabotage('G4', 'a call has the token of another run', calls(27, { task: { key: DEPLOY, token: 103 } })),
  sabotage('G4', 'a holder of the past is called though it could know', {
    ...calls(20, { startedAt: 3_300, endedAt: 3_310 }),
  }),
  sabotage('G1', 'a handler does without its task, and a guard could be asked', { faults: [] }),
  sabotage('G1', 'a handler does without its task, and may not', {
    inbox: right.inbox.map(({ mayBeUnguarded: _may, ...line }) => line),
  }),
  sabotage('L1', 'a handler keeps the result of another run', {
    records: right.records.map((line) =>
      line.seq === 31 ? { ...line, record: { ...line.record, ...result(30, 1) } as never } : line,
    ),
  }),
  sabotage('L1', 'a handler that was called says that it was not', {
    records: right.records.map((line) =>
      line.seq === 31
        ? { ...line, record: { ...line.record, sends: [{ kind: 'reply', text: 'busy' }] } as never }
        : line,
    ),
  }),
  sabotage('G1', 'a program outside gets a task at which another one works', outside('o-3', { from: 3_900 })),
  sabotage('G3', 'a holder that is gone is in the way for seconds', {
    outsideAnswers: [{ kind: 'already_running', key: OUTSIDE, runId: 'o-2', askedAt: 5_100 }],
  }),
  sabotage('G3', 'the holding of a process that was killed ends much too late', {
    lives: [...right.lives, { ...(right.lives[1] as LifeLine), name: 'worker-2#1', renewedAt: [], endedAt: 3_800 }],
    ...calls(27, { life: 'worker-2#1' }),
    ...steps(DEPLOY, isOf('ended'), (step) => [{ ...step, at: 13_000 }]),
  }),
  sabotage('G4', 'a program outside gets a smaller token', outside('o-3', { token: 199 })),
  sabotage('G4', 'a program outside renews with a token of the past', {
    outsideAnswers: [{ kind: 'renewed', key: OUTSIDE, runId: 'o-1', token: 200, askedAt: 2_100 }],
  }),
];
