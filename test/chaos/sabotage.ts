import { jsonText, type TurnRecord } from '#contracts';
import type { History, LifeLine, RecordLine, Violation } from './history.js';
import { call, rightHistory, runOf, STANDING, STOPPED } from './right-history.js';

/** Each makes one thing of the right history wrong, and one check has to see it. To add a case, add a row. */
export interface Sabotage {
  readonly title: string;
  readonly breaks: Violation['invariant'];
  readonly history: History;
}

const right = rightHistory();
const lastOfRoutes = right.records.findLast(({ session }) => session === 'slow:10') as RecordLine;

function sabotage(breaks: Violation['invariant'], title: string, change: Partial<History>): Sabotage {
  return { breaks, title, history: { ...right, ...change } };
}

function records(seq: number, change: (record: TurnRecord) => Partial<TurnRecord>): Partial<History> {
  return {
    records: right.records.map((line) =>
      line.seq === seq
        ? { ...line, record: { ...line.record, ...change(line.record as TurnRecord) } as TurnRecord }
        : line,
    ),
  };
}

function calls(n: number, change: Partial<History['calls'][number]>): Partial<History> {
  return { calls: right.calls.map((call) => (call.n === n ? { ...call, ...change } : call)) };
}

function inbox(seq: number, change: Partial<History['inbox'][number]>): Partial<History> {
  return { inbox: right.inbox.map((line) => (line.seq === seq ? { ...line, ...change } : line)) };
}

function lives(name: string, change: Partial<LifeLine>): Partial<History> {
  return { lives: right.lives.map((life) => (life.name === name ? { ...life, ...change } : life)) };
}

/** As one that nothing was done to. */
const STOOD = {
  stopped: [],
  renewedAt: right.lives.find(({ name }) => name === STANDING)?.renewedAt ?? [],
} satisfies Partial<LifeLine>;
/** So that the next call is beside none. */
const ENDED_EARLY = { endedAt: 4_400 };

const decided = (id: string, seq: number): TurnRecord['messages'] => [{ id, seq, decision: 'handled' }];
type SessionRun = NonNullable<TurnRecord['run']>;
const messagesOf = (...seqs: number[]): { id: string; seq: number }[] => seqs.map((seq) => ({ id: `m${seq}`, seq }));
/** What in truth were two turns. */
const both = {
  runId: runOf('slow:10', 10, 11),
  messages: messagesOf(10, 11).flatMap(({ id, seq }) => decided(id, seq)),
};

export const SABOTAGES: readonly Sabotage[] = [
  sabotage('L1', 'a message is decided by two records', {
    records: [
      ...right.records,
      {
        ...lastOfRoutes,
        seq: 20,
        expected: 10,
        record: { ...lastOfRoutes.record, kind: 'note', messages: decided('m11', 11) } as never,
      },
    ],
  }),
  sabotage(
    'L1',
    'a record decides what the inbox does not have',
    records(10, () => ({ messages: decided('m99', 11) })),
  ),
  sabotage(
    'L1',
    'a cursor does not cover what is decided',
    records(2, () => ({ done: [] })),
  ),
  sabotage(
    'L1',
    'a cursor covers what nothing has decided',
    records(2, () => ({ upto: 3, done: [] })),
  ),
  sabotage('L1', 'a message is cancelled without an order', inbox(8, { cancels: { what: 'message', seq: 99 } })),
  sabotage(
    'L1',
    'a record has the result of another call',
    records(2, () => ({ sends: [{ kind: 'reply', text: 'call 3' }] })),
  ),
  sabotage(
    'L1',
    'a state has not counted a turn',
    records(3, () => ({ state: jsonText({ turns: 1 }) })),
  ),
  sabotage(
    'L1',
    'a second turn runs while the holder of the first stands',
    lives(STOPPED, { renewedAt: STOOD.renewedAt }),
  ),
  sabotage('L1', 'a second turn runs in an outage in which no worker was seen', {
    blind: [{ from: 1_500, to: 8_900 }],
    lives: right.lives.map((life) => ({ ...life, renewedAt: life.renewedAt.filter((at) => at < 1_500 || at > 8_900) })),
  }),
  sabotage(
    'L1',
    'an id is stored twice without being dead',
    records(5, () => ({ messages: decided('m5', 5) })),
  ),
  sabotage('L2', 'a younger message of a route is handled before an older one', inbox(2, { thread: 'a' })),
  sabotage('L2', 'a route is served before that of the oldest message', {
    records: right.records.map((line) => {
      if (line.seq === 9)
        return { ...line, record: { ...line.record, ...swapped(11), upto: 9, done: [[11, 11]] } as never };
      return line.seq === 10 ? { ...line, record: { ...line.record, ...swapped(10) } as never } : line;
    }),
    calls: right.calls.map((call) => {
      if (call.n === 8) return { ...call, ...swapped(11) };
      return call.n === 9 ? { ...call, ...swapped(10) } : call;
    }),
  }),
  sabotage('L2', 'a turn mixes routes', {
    records: right.records.flatMap((line) => {
      if (line.seq !== 9) return line.seq === 10 ? [] : [line];
      return [{ ...line, record: { ...line.record, ...both, upto: 11 } as never }];
    }),
    calls: right.calls.flatMap((call) => (call.n === 8 ? [{ ...call, ...both }] : call.n === 9 ? [] : [call])),
  }),
  sabotage('L2', 'a call is not in the order of the inbox', calls(7, { messages: messagesOf(8, 7) })),
  sabotage('L2', 'a batch is not in the order of the inbox', {
    records: right.records.map((line) => ({ ...line, record: inverted(line.record) as never })),
    calls: right.calls.map(inverted),
  }),
  sabotage('L3', 'a message is never decided', {
    inbox: [...right.inbox, { session: 'slow:12', seq: 12, id: 'm12', at: 1_200, thread: '' }],
  }),
  sabotage('L3', 'a message that was accepted is not there', {
    accepted: [...right.accepted, { session: 'slow:12', id: 'm12', seq: 12, duplicate: false, at: 1_200 }],
  }),
  sabotage('L3', 'a dead message is not kept', { dead: [] }),
  sabotage('L4', 'a record was written on another than the last', {
    records: right.records.map((line) => (line.seq === 3 ? { ...line, expected: 1 } : line)),
  }),
  sabotage(
    'L4',
    'a fenced attempt is recorded all the same',
    records(2, () => ({
      attempt: 1,
      sends: [{ kind: 'reply', text: 'call 1' }],
    })),
  ),
  sabotage(
    'L4',
    'a record ends another run than the one in work',
    records(1, ({ run }) => ({ run: { ...(run as SessionRun), runId: 'another' } })),
  ),
  sabotage('L4', 'a note goes back to an earlier attempt', {
    records: right.records.flatMap((line) => {
      if (line.seq === 2) return [{ ...line, expected: 1.5 }];
      const note = (attempt: number) => ({ ...line.record, run: { ...(line.record.run as SessionRun), attempt } });
      if (line.seq !== 1) return [line];
      return [
        { ...line, record: note(3) },
        { ...line, seq: 1.5, expected: 1, record: note(2) },
      ];
    }),
  }),
  sabotage('L4', 'a turn begins when the membership has ended', {
    starts: [...right.starts, { runId: runOf('probe:4', 4), attempt: 1, incarnation: 'worker-0/1', at: 8_902 }],
    calls: [
      ...right.calls,
      { ...(right.calls[3] as History['calls'][number]), n: 10, life: STOPPED, startedAt: 8_905, endedAt: 8_906 },
    ],
  }),
  sabotage('L5', 'a quick question waits', {
    accepted: right.accepted.map((line) => ({ ...line, at: line.at - 50_000 })),
  }),
  sabotage('L5', 'a quick question waits through faults for longer than they excuse', {
    accepted: right.accepted.map((line) => ({ ...line, at: line.at - 50_000 })),
    faults: [{ kind: 'pause worker beyond its time', target: 'worker-0', from: -60_000, to: 8_900 }],
  }),
  sabotage('L5', 'a quick question waits while a clock jumps, which excuses nothing', {
    accepted: right.accepted.map((line) => ({ ...line, at: line.at - 20_000 })),
    faults: [{ kind: 'jump clock of worker', target: 'worker-0', from: -18_000, to: 2_000 }],
  }),
  sabotage('L6', 'a healthy session fails', {
    ...records(4, () => ({ status: 'failed', messages: [{ id: 'm4', seq: 4, decision: 'dead' }], state: undefined })),
    dead: [...right.dead, { session: 'probe:4', seq: 4 }],
  }),
  sabotage('L7', 'a second attempt has fewer messages', calls(2, { messages: [{ id: 'm1', seq: 1 }] })),
  sabotage(
    'L7',
    'a note keeps other messages for the next attempt',
    records(1, ({ run }) => ({ run: { ...(run as SessionRun), seqs: [1] } })),
  ),
  sabotage('L7', 'a record decides less than its call had', calls(4, { messages: messagesOf(4, 99) })),
  sabotage('L7', 'a cancel decides what was not in its run', calls(7, { messages: messagesOf(99) })),
  sabotage('L7', 'a second attempt has another content', calls(2, { digest: 'another' })),
  sabotage('L8', 'a turn is called again, and its process stood', {
    ...lives(STOPPED, STOOD),
    ...calls(1, ENDED_EARLY),
  }),
  sabotage('L8', 'a turn is called again in an outage', {
    ...calls(1, ENDED_EARLY),
    blind: [{ from: 1_500, to: 4_400 }],
    lives: right.lives.map((life) => {
      const renewedAt = STOOD.renewedAt.filter((at) => at < 1_500 || at > 4_400);
      return { ...life, stopped: [], renewedAt };
    }),
  }),
  sabotage('L8', 'a turn is called again whose process was stopped for less than its time to live', {
    ...lives(STOPPED, { ...STOOD, stopped: [{ from: 1_500, to: 2_300 }] }),
    ...calls(1, ENDED_EARLY),
  }),
  sabotage('L8', 'a turn is called again whose process was stopped for three of its ten seconds', {
    ...{ ttlMs: 10_000, renewMs: 2_000 },
    ...lives(STOPPED, { ...STOOD, stopped: [{ from: 1_500, to: 4_400 }] }),
    ...calls(1, ENDED_EARLY),
  }),
  sabotage('L8', 'a turn is called again whose link was reset', {
    ...lives(STOPPED, { ...STOOD, cutOff: [{ from: 1_500, to: 1_500 }] }),
    ...calls(1, ENDED_EARLY),
  }),
  sabotage('L8', 'a turn is called again long after its process was cut off', {
    ...lives(STOPPED, { ...STOOD, cutOff: [{ from: 100, to: 700 }] }),
    ...calls(1, ENDED_EARLY),
  }),
  sabotage('L8', 'a message comes again in another batch, and its turn had come to a good end', {
    calls: [...right.calls, call(30, 'slow:10', [10, 11], 2_412, 2_418)],
  }),
  sabotage('alive', 'a process ends by itself', { mishaps: ['worker-0#1 ended by itself'] }),
];

/** One of the two messages of that session, in the place of the other. */
function swapped(seq: 10 | 11): { runId: string; messages: TurnRecord['messages'] } {
  return { runId: runOf('slow:10', seq), messages: decided(`m${seq}`, seq) };
}

/** Its batch from the youngest message to the oldest. */
function inverted<T extends { readonly messages: readonly unknown[]; readonly run?: unknown }>(of: T): T {
  const run = of.run as SessionRun | null | undefined;
  return {
    ...of,
    messages: of.messages.toReversed(),
    ...(run === null || run === undefined ? {} : { run: { ...run, seqs: run.seqs.toReversed() } }),
  };
}
