import { describe, expect, it } from 'vitest';
import { HEADER, Names, type MessageDecision } from '#contracts';
import { ConfirmedReader, type StoredMessage, type StreamLookup, type StreamReader } from '#jetstream';
import { SessionHistory } from './session-history.client.js';

const names = new Names('lk', 64);
const key = names.sessionTokens('main', 's');

interface Written {
  readonly kind: 'turn' | 'note';
  readonly upto: number;
  readonly done?: readonly (readonly [number, number])[];
  readonly messages: readonly MessageDecision[];
  readonly runId?: string;
}

const decided = (seq: number, decision: MessageDecision['decision'], id = `m${seq}`): MessageDecision => ({
  id,
  seq,
  decision,
});

/** Finds these records, each the successor of the one before, and these bodies in the inbox. */
function lookupOf(records: readonly Written[], inbox: Record<number, string> = {}): StreamLookup {
  const stored = (subject: string, seq: number, text: string, headers: Record<string, string> = {}): StoredMessage => ({
    subject,
    seq,
    data: Buffer.from(text),
    storedAtMs: seq * 1_000 + 500,
    header: (name) => headers[name] ?? '',
  });
  const turn = { runId: 'r', attempt: 1, status: 'succeeded', sends: [], startedAt: 1, endedAt: 2 };
  const turns = records.map(({ kind, ...record }, i) => {
    const head = { done: [], run: null, nextSequence: null, children: {}, relayed: {} };
    const body = { v: 1, commitId: `c${i}`, worker: 'w', ...head, kind, ...(kind === 'turn' ? turn : {}), ...record };
    return stored(names.turnsSubject(key), i + 1, JSON.stringify(body), {
      [HEADER.expectedLastSubjectSequence]: String(i),
    });
  });
  return {
    last: (stream, subject) => {
      const last = Object.entries(inbox).at(-1);
      const lastIn = last === undefined ? undefined : stored(subject, Number(last[0]), last[1]);
      return Promise.resolve(stream === names.turnsStream ? turns.at(-1) : lastIn);
    },
    message: (stream, seq) =>
      Promise.resolve(
        stream === names.turnsStream
          ? turns[seq - 1]
          : inbox[seq] === undefined
            ? undefined
            : stored(names.inboxSubject(key), seq, inbox[seq]),
      ),
    async *messagesOf(stream, subject, fromSeq) {
      if (stream === names.turnsStream) yield* turns.slice(Math.max(0, fromSeq - 1));
      else
        for (const [seq, text] of Object.entries(inbox)) {
          if (Number(seq) >= fromSeq) yield stored(subject, Number(seq), text);
        }
    },
  };
}

function historyOf(...stored: Parameters<typeof lookupOf>): SessionHistory {
  return new SessionHistory(lookupOf(...stored), names);
}

/** What a history says whose replica has only the first so many records and inbox entries. */
function confirmedOf(
  { records, inbox }: { readonly records: readonly Written[]; readonly inbox: Record<number, string> },
  behind: { readonly records: number; readonly upToSeq: number },
): SessionHistory {
  const replica = lookupOf(
    records.slice(0, behind.records),
    Object.fromEntries(Object.entries(inbox).filter(([seq]) => Number(seq) <= behind.upToSeq)),
  );
  const leader = lookupOf(records, inbox);
  const reader: Pick<StreamReader, 'message' | 'messagesOf' | 'leaderLast' | 'leaderNext' | 'leaderMessage'> = {
    message: replica.message,
    messagesOf: replica.messagesOf,
    leaderLast: leader.last,
    leaderMessage: leader.message,
    leaderNext: async (...asked) => (await leader.messagesOf(...asked).next()).value as StoredMessage | undefined,
  };
  return new SessionHistory(new ConfirmedReader(reader), names);
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const read: T[] = [];
  for await (const item of items) read.push(item);
  return read;
}

const body = (fields: object): string => JSON.stringify({ v: 1, ...fields });
const cancel = body({ kind: 'control', id: 'cancel:x', op: 'cancel', target: { what: 'session' } });

it('a session is known by a message or by a record, and else it is none', async () => {
  const record: Written = { kind: 'turn', upto: 1, messages: [decided(1, 'handled')] };
  const known = [historyOf([], { 1: '{}' }), historyOf([record]), historyOf([])];
  expect(await Promise.all(known.map((history) => history.hasSession(key)))).toEqual([true, true, false]);
});

describe('what is pending', () => {
  const inbox = {
    1: body({ kind: 'message', id: 'm1', text: 'x' }),
    2: cancel,
    3: body({ kind: 'message', id: 'm3', text: 'x' }),
    4: 'no JSON',
    5: body({ kind: 'message', id: 'cancel:y', text: 'the kind counts, not the id' }),
  };

  it('are messages, and no orders to the lane', async () => {
    const pending = await all(historyOf([], inbox).pending(key));
    expect(pending.map(({ id }) => id)).toEqual(['m1', 'm3', 'seq:4', 'cancel:y']);
    expect(pending[0]).toEqual({ seq: 1, id: 'm1', storedAtMs: 1_500 });
  });

  it('is told from orders among all that is undecided', async () => {
    const history = historyOf([{ kind: 'turn', upto: 1, messages: [decided(1, 'handled')] }], inbox);
    const undecided = await all(history.undecided(key));
    expect(undecided.map(({ seq, isControl }) => [seq, isControl])).toEqual([
      [2, true],
      [3, false],
      [4, false],
      [5, false],
    ]);
  });
});

describe('the records of a conversation', () => {
  const records: Written[] = [
    { kind: 'turn', upto: 1, messages: [decided(1, 'handled')] },
    { kind: 'note', upto: 1, messages: [] },
    { kind: 'note', upto: 2, messages: [decided(2, 'handled', 'cancel:a')] },
    { kind: 'note', upto: 4, messages: [decided(3, 'cancelled'), decided(4, 'handled', 'cancel:b')] },
    { kind: 'note', upto: 5, messages: [decided(5, 'rejected')] },
  ];

  it('leave out notes that decide no message of it', async () => {
    const listed = await historyOf(records).records(key, 200);
    expect(listed.map(({ recordSeq }) => recordSeq)).toEqual([5, 4, 1]);
    expect(await historyOf(records).records(key, 2)).toHaveLength(2);
  });

  it('still tell what became of an order', async () => {
    const note = await historyOf(records).decisionOf(key, { id: 'cancel:a' });
    expect(note).toMatchObject({ recordSeq: 3, storedAtMs: 3_500 });
  });
});

describe('the end of a run', () => {
  const records: Written[] = [
    { kind: 'turn', upto: 1, messages: [decided(1, 'handled')], runId: 'a' },
    { kind: 'turn', upto: 2, done: [[4, 4]], messages: [decided(4, 'cancelled')], runId: 'b' },
    ...Array.from({ length: 40 }, (_, i): Written => ({
      kind: 'note',
      upto: 5 + i,
      messages: [decided(5 + i, 'expired')],
    })),
  ];

  it.each<[string, string, number, number | undefined]>([
    ['is found however far back it is', 'a', 1, 1],
    ['is found by its name, also when its first message is in it no more', 'b', 3, 2],
    ['is not looked for before its first message was decided', 'a', 60, undefined],
    ['is nothing for a run that never was', 'c', 1, undefined],
  ])('%s', async (_title, runId, firstSeq, recordSeq) => {
    const end = await historyOf(records).endOfRun(key, runId, firstSeq);
    expect(end?.recordSeq).toBe(recordSeq);
  });

  it('is seen above the cursor, too', async () => {
    expect(await historyOf(records.slice(0, 2)).endOfRun(key, 'b', 3)).toMatchObject({ recordSeq: 2 });
    expect(await historyOf(records.slice(0, 2)).endOfRun(key, 'b', 5)).toBeUndefined();
  });
});

describe('what a replica that is behind does not have', () => {
  const all3 = [1, 2, 3].map((seq): Written => ({ kind: 'turn', upto: seq, messages: [decided(seq, 'handled')] }));
  const inbox = Object.fromEntries(
    [1, 2, 3, 4].map((seq) => [seq, body({ kind: 'message', id: `m${seq}`, text: 'x' })]),
  );
  const stored = { records: all3, inbox };

  it.each([0, 1, 2, 3])('is found all the same, when it has %i of 3 records', async (records) => {
    const history = confirmedOf(stored, { records, upToSeq: records });
    expect(await all(history.pending(key))).toMatchObject([{ id: 'm4' }]);
    expect(await history.decisionOf(key, { id: 'm3' })).toMatchObject({ recordSeq: 3 });
    expect(await history.decisionOf(key, { seq: 2 })).toMatchObject({ recordSeq: 2 });
    expect(await history.decisionOf(key, { id: 'm9' })).toBeUndefined();
    expect(await history.records(key, 200)).toHaveLength(3);
    expect(await history.storedAtMs(4)).toBe(4_500);
  });

  it('does not make what is decided pending again', async () => {
    const history = confirmedOf(stored, { records: 1, upToSeq: 4 });
    expect(await all(history.pending(key))).toHaveLength(1);
  });
});

it('an entry of the inbox tells when it was stored, until it is trimmed', async () => {
  const history = historyOf([], { 2: cancel });
  expect(await history.storedAtMs(2)).toBe(2_500);
  expect(await history.storedAtMs(3)).toBeUndefined();
});
