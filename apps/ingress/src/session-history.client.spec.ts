import { describe, expect, it } from 'vitest';
import { HEADER, Names, type MessageDecision } from '#contracts';
import type { StoredMessage, StreamReader } from '#jetstream';
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

/** A history of these records, each the successor of the one before, and these bodies in the inbox. */
function historyOf(records: readonly Written[], inbox: Record<number, string> = {}): SessionHistory {
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
  const reader: Partial<StreamReader> = {
    lastPerSubject: (_stream, [subject = '']) => {
      const last = turns.at(-1);
      return Promise.resolve({ found: new Map(last === undefined ? [] : [[subject, last]]), upToSeq: undefined });
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
      if (stream === names.turnsStream) yield* turns;
      else
        for (const [seq, text] of Object.entries(inbox)) {
          if (Number(seq) >= fromSeq) yield stored(subject, Number(seq), text);
        }
    },
  };
  return new SessionHistory(reader as StreamReader, names);
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const read: T[] = [];
  for await (const item of items) read.push(item);
  return read;
}

const body = (fields: object): string => JSON.stringify({ v: 1, ...fields });
const cancel = body({ kind: 'control', id: 'cancel:x', op: 'cancel', target: { what: 'session' } });

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

it('an entry of the inbox tells when it was stored, until it is trimmed', async () => {
  const history = historyOf([], { 2: cancel });
  expect(await history.storedAtMs(2)).toBe(2_500);
  expect(await history.storedAtMs(3)).toBeUndefined();
});
