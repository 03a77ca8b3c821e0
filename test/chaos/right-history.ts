import { jsonText, makeRunId, Names, DEFAULT_SHARDS, type SessionRecord, type TurnRecord } from '#contracts';
import type { Call, History, InboxLine, RecordLine } from './history.js';

/**
 * A small history in which everything is right, with a worker that is stopped in the middle of a turn, routes, a dead message
 * that is sent again, a cancel of a turn that runs, and one of a turn whose call was never made. The checks are held against
 * it, and against what sabotage makes of it.
 */

export const STOPPED = 'worker-0#1';
export const STANDING = 'worker-1#1';
const names = new Names('lk', DEFAULT_SHARDS);
/** Sent again. */
const SAME_ID = new Map([[6, 5]]);
const idOf = (seq: number): string => `m${SAME_ID.get(seq) ?? seq}`;

export function runOf(session: string, ...seqs: number[]): string {
  return makeRunId(names.sessionTokens('main', session), seqs);
}

function messagesOf(seqs: readonly number[]): { id: string; seq: number }[] {
  return seqs.map((seq) => ({ id: idOf(seq), seq }));
}

export function inbox(session: string, seq: number, more: Partial<InboxLine> = {}): InboxLine {
  return { session, seq, id: idOf(seq), at: 100 * seq, thread: '', ...more };
}

export function call(
  n: number,
  session: string,
  seqs: number[],
  from: number,
  to: number,
  more: Partial<Call> = {},
): Call {
  const runId = runOf(session, ...seqs);
  const what = { n, session, runId, attempt: 1, messages: messagesOf(seqs), digest: `digest of ${runId}` };
  return { ...what, life: STANDING, startedAt: from, endedAt: to, isHungUp: false, isFailure: false, ...more };
}

export const HEAD = {
  v: 1,
  ...{ commitId: 'c', worker: 'worker-1/1', nextSequence: null, children: {}, relayed: {}, done: [], run: null },
} as const;

export function line(session: string, seq: number, expected: number, record: SessionRecord): RecordLine {
  return { session, seq, at: 1_000 * seq, expected, record };
}

export function turn(session: string, seqs: number[], upto: number, more: Partial<TurnRecord> = {}): TurnRecord {
  const messages = messagesOf(seqs).map((message) => ({ ...message, decision: 'handled' as const }));
  const what = { kind: 'turn', status: 'succeeded', attempt: 1, startedAt: 0, endedAt: 0 } as const;
  return { ...HEAD, done: [], ...what, upto, runId: runOf(session, ...seqs), messages, sends: [], ...more };
}

/** What the agent's answer to a call leaves in a record. */
export function result(n: number, turns: number): Partial<TurnRecord> {
  return { sends: [{ kind: 'reply', text: `call ${n}` }], state: jsonText({ turns }) };
}

export const every = (ms: number, from: number, to: number): number[] =>
  Array.from({ length: Math.floor((to - from) / ms) + 1 }, (_, i) => from + i * ms);

export function rightHistory(): History {
  const cut = { runId: runOf('slow:1', 1, 3), seqs: [1, 3] };
  return {
    ttlMs: 2_000,
    renewMs: 400,
    guardClocksMs: 0,
    mishaps: [],
    blind: [],
    tasks: [],
    approvals: [],
    outside: [],
    outsideAnswers: [],
    accepted: [
      { session: 'slow:1', id: 'm1', seq: 1, duplicate: false, at: 900 },
      { session: 'slow:1', id: 'm1', seq: 1, duplicate: true, at: 950 },
      { session: 'probe:4', id: 'm4', seq: 4, duplicate: false, at: 2_000 },
    ],
    inbox: [
      inbox('slow:1', 1, { thread: 'a' }),
      inbox('slow:1', 2, { thread: 'b' }),
      inbox('slow:1', 3, { thread: 'a' }),
      inbox('probe:4', 4),
      inbox('failing:5', 5),
      inbox('failing:5', 6, { at: 20_000 }),
      inbox('slow:7', 7),
      inbox('slow:7', 8, { id: 'cancel:8', cancels: { what: 'message', seq: 7 } }),
      inbox('slow:10', 10, { thread: 'b' }),
      inbox('slow:10', 11, { thread: 'a' }),
      inbox('slow:13', 13),
      inbox('slow:13', 14, { id: 'cancel:14', cancels: { what: 'session' } }),
    ],
    calls: [
      call(1, 'slow:1', [1, 3], 1_000, 9_000, { life: STOPPED, isHungUp: true }),
      call(2, 'slow:1', [1, 3], 4_500, 5_000, { attempt: 2 }),
      call(3, 'slow:1', [2], 5_100, 5_200),
      call(4, 'probe:4', [4], 2_010, 2_011),
      call(5, 'failing:5', [5], 2_100, 2_110, { isFailure: true }),
      call(6, 'failing:5', [6], 20_100, 20_110),
      call(7, 'slow:7', [7], 2_200, 2_300, { isHungUp: true }),
      call(8, 'slow:10', [10], 2_400, 2_410),
      call(9, 'slow:10', [11], 2_420, 2_430),
    ],
    records: [
      line('slow:1', 1, 0, {
        ...HEAD,
        done: [],
        kind: 'note',
        upto: 0,
        messages: [],
        run: { ...cut, attempt: 2, crashes: 1 },
      }),
      line('slow:1', 2, 1, turn('slow:1', [1, 3], 1, { attempt: 2, done: [[3, 3]], ...result(2, 1) })),
      line('slow:1', 3, 2, turn('slow:1', [2], 3, result(3, 2))),
      line('probe:4', 4, 0, turn('probe:4', [4], 4, result(4, 1))),
      line(
        'failing:5',
        5,
        0,
        turn('failing:5', [5], 5, { status: 'failed', messages: [{ id: 'm5', seq: 5, decision: 'dead' }] }),
      ),
      line('failing:5', 6, 5, turn('failing:5', [6], 6, result(6, 1))),
      line(
        'slow:7',
        7,
        0,
        turn('slow:7', [7], 7, { status: 'cancelled', messages: [{ id: 'm7', seq: 7, decision: 'cancelled' }] }),
      ),
      line('slow:7', 8, 7, {
        ...HEAD,
        done: [],
        kind: 'note',
        upto: 8,
        messages: [{ id: 'cancel:8', seq: 8, decision: 'handled' }],
      }),
      line('slow:10', 9, 0, turn('slow:10', [10], 10, result(8, 1))),
      line('slow:10', 10, 9, turn('slow:10', [11], 11, result(9, 2))),
      line(
        'slow:13',
        11,
        0,
        turn('slow:13', [13], 13, { status: 'cancelled', messages: [{ id: 'm13', seq: 13, decision: 'cancelled' }] }),
      ),
      line('slow:13', 12, 11, {
        ...HEAD,
        done: [],
        kind: 'note',
        upto: 14,
        messages: [{ id: 'cancel:14', seq: 14, decision: 'handled' }],
      }),
    ],
    dead: [{ session: 'failing:5', seq: 5 }],
    starts: [{ runId: cut.runId, attempt: 1, incarnation: 'worker-0/1', at: 990 }],
    lives: [
      {
        ...{
          name: STOPPED,
          startedAt: 0,
          incarnation: 'worker-0/1',
          stopped: [{ from: 1_500, to: 8_900 }],
          cutOff: [],
        },
        renewedAt: [...every(400, 0, 1_400), ...every(400, 8_950, 21_000)],
      },
      {
        ...{ name: STANDING, startedAt: 0, incarnation: 'worker-1/1', stopped: [], cutOff: [] },
        renewedAt: every(400, 0, 21_000),
      },
    ],
    faults: [{ kind: 'pause worker beyond its time', target: 'worker-0', from: 1_500, to: 8_900 }],
  };
}
