import type { SessionRecord } from '#contracts';
import type { Call, History, InboxLine, RecordLine, TaskLine } from './history.js';
import { call, HEAD, inbox, line, result, rightHistory, runOf, STOPPED, turn } from './right-history.js';
import { OPERATOR } from './tasks.js';

/**
 * The right history, and beside it sessions whose messages start tasks:
 *
 *   deploy    fails in both of its attempts; the next trigger is refused; one is approved, and runs; the operator ends one that runs
 *   careful   its holder is stopped beyond its time; an operator approves, and the next attempt gets it
 *   build     its holder is stopped beyond its time, and it is healed
 *   report    two handlers want it, one of them gets it; another does without its own, in the middle of a fault
 *   outside   held over HTTP by one after another, the second of which ends without a word
 */

export const DEPLOY = 'chaos::deploy-0';
export const CAREFUL = 'chaos::careful-0';
/** Held over HTTP. */
export const OUTSIDE = 'outside::job-0';
/** Of handlers: one does without its task when no guard answers, the other waits. */
export const OPEN = 'chaos::open-report';
export const REPORT = 'chaos::report-0';
export const BUILD = 'main/task:24::build';

const starts = (seq: number, task: string, at: number): InboxLine => inbox(`task:${seq}`, seq, { task, at });

const of = (key: string, token: number): Pick<Call, 'task'> => ({ task: { key, token } });

function ran(seq: number, n: number, at: number, more: Parameters<typeof turn>[3] = {}): RecordLine {
  return { ...line(`task:${seq}`, seq, 0, turn(`task:${seq}`, [seq], seq, { ...result(n, 1), ...more })), at };
}

/** Its holder was taken for dead; it asks anew. */
function cut(seq: number, n: number): RecordLine[] {
  const run = { runId: runOf(`task:${seq}`, seq), seqs: [seq], attempt: 2, crashes: 1 };
  const note: SessionRecord = { ...HEAD, done: [], kind: 'note', upto: 0, messages: [], run };
  return [
    { ...line(`task:${seq}`, seq, 0, note), at: 4_500 },
    { ...ran(seq, n, 4_720, { attempt: 2 }), seq: seq + 100, expected: seq },
  ];
}

function handled(seq: number, more: Parameters<typeof turn>[3]): RecordLine {
  return { ...line(`hands:${seq}`, seq, 0, turn(`hands:${seq}`, [seq], seq, more)), at: 2_040 };
}

const steps = (key: string, seq: number, ...lines: Omit<TaskLine, 'key' | 'runId'>[]): TaskLine[] =>
  lines.map((step) => ({ ...step, key, runId: runOf(`task:${seq}`, seq) }));

export function rightTaskHistory(): History {
  const right = rightHistory();
  return {
    ...right,
    inbox: [
      ...right.inbox,
      starts(20, DEPLOY, 2_480),
      starts(21, DEPLOY, 2_890),
      starts(22, DEPLOY, 3_090),
      starts(23, CAREFUL, 1_180),
      starts(24, BUILD, 1_180),
      starts(25, DEPLOY, 3_400),
      inbox('hands:30', 30, { task: OPEN, mayBeUnguarded: true, at: 2_000 }),
      inbox('hands:31', 31, { task: REPORT, at: 2_000 }),
      inbox('hands:32', 32, { task: REPORT, at: 2_000 }),
    ],
    calls: [
      ...right.calls,
      call(20, 'task:20', [20], 2_500, 2_600, { isFailure: true, ...of(DEPLOY, 100) }),
      call(21, 'task:20', [20], 2_700, 2_710, { attempt: 2, isFailure: true, ...of(DEPLOY, 101) }),
      call(22, 'task:22', [22], 3_110, 3_200, of(DEPLOY, 103)),
      call(23, 'task:23', [23], 1_200, 8_950, { life: STOPPED, isHungUp: true, ...of(CAREFUL, 90) }),
      call(24, 'task:23', [23], 4_650, 4_700, { attempt: 2, ...of(CAREFUL, 120) }),
      call(25, 'task:24', [24], 1_210, 8_950, { life: STOPPED, isHungUp: true, ...of(BUILD, 91) }),
      call(26, 'task:24', [24], 4_660, 4_710, { attempt: 2, ...of(BUILD, 121) }),
      call(27, 'task:25', [25], 3_420, 4_100, { isHungUp: true, ...of(DEPLOY, 105) }),
      call(30, 'hands:30', [30], 2_010, 2_020),
      call(31, 'hands:31', [31], 2_010, 2_030, of(REPORT, 95)),
    ],
    records: [
      ...right.records,
      ran(20, 0, 2_800, {
        ...{ attempt: 2, status: 'failed', sends: [], state: undefined },
        messages: [{ id: 'm20', seq: 20, decision: 'dead' }],
      }),
      {
        ...line('task:21', 21, 0, {
          ...{ ...HEAD, done: [], kind: 'note', upto: 21 },
          messages: [{ id: 'm21', seq: 21, decision: 'refused', reason: 'approval_required' }],
        }),
        at: 2_900,
      },
      ran(22, 22, 3_210),
      ...cut(23, 24),
      ...cut(24, 26),
      ran(25, 0, 4_110, {
        ...{ status: 'failed', sends: [], state: undefined },
        messages: [{ id: 'm25', seq: 25, decision: 'dead' }],
      }),
      handled(30, result(30, 1)),
      handled(31, result(31, 1)),
      handled(32, { ...result(0, 1), sends: [{ kind: 'reply', text: 'already_running' }] }),
    ],
    dead: [...right.dead, { session: 'task:20', seq: 20 }, { session: 'task:25', seq: 25 }],
    tasks: [
      ...steps(
        ...[DEPLOY, 20],
        { what: 'acquired', at: 2_490, token: 100 },
        { what: 'acquired', at: 2_690, token: 101 },
        { what: 'released', at: 2_790, status: 'failed' },
        { what: 'approved', at: 3_000, by: OPERATOR },
      ),
      ...steps(
        ...[DEPLOY, 22],
        { what: 'acquired', at: 3_100, token: 103 },
        { what: 'released', at: 3_220, status: 'succeeded' },
      ),
      ...steps(
        ...[DEPLOY, 25],
        { what: 'acquired', at: 3_410, token: 105 },
        { what: 'ended', at: 3_900, status: 'cancelled', by: OPERATOR },
      ),
      ...steps(
        ...[CAREFUL, 23],
        { what: 'acquired', at: 1_190, token: 90 },
        { what: 'stale', at: 3_190 },
        { what: 'approved', at: 4_000, by: OPERATOR },
        { what: 'acquired', at: 4_640, token: 120 },
        { what: 'released', at: 4_730, status: 'succeeded' },
      ),
      ...[
        { what: 'acquired', at: 2_005, token: 95 } as const,
        { what: 'released', at: 2_035, status: 'succeeded' } as const,
      ].map((step): TaskLine => ({ ...step, key: REPORT, runId: runOf('hands:31', 31) })),
      // The second was told of in an outage: only the agent saw its token.
      ...steps(
        ...[BUILD, 24],
        { what: 'acquired', at: 1_190, token: 91 },
        { what: 'stale', at: 3_190 },
        { what: 'acquired', at: 4_650 },
        { what: 'released', at: 4_740, status: 'succeeded' },
      ),
    ],
    outside: [
      { key: OUTSIDE, runId: 'o-1', token: 200, from: 1_000, to: 1_600, blocksUntil: 1_700 },
      { key: OUTSIDE, runId: 'o-2', token: 201, from: 2_000, to: 4_000, blocksUntil: 4_050 },
      { key: OUTSIDE, runId: 'o-3', token: 202, from: 4_060, to: 6_000, blocksUntil: undefined },
    ],
    outsideAnswers: [
      { kind: 'already_running', key: OUTSIDE, runId: 'o-2', askedAt: 4_000 },
      { kind: 'already_running', key: OUTSIDE, runId: 'o-3', askedAt: 9_000 },
      { kind: 'renewed', key: OUTSIDE, runId: 'o-1', token: 200, askedAt: 1_800 },
    ],
    approvals: [
      { key: DEPLOY, runId: runOf('task:20', 20), at: 3_001 },
      { key: CAREFUL, runId: runOf('task:23', 23), at: 4_001 },
    ],
  };
}
