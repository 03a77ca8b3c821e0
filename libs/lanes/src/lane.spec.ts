import { describe, expect, it } from 'vitest';
import { makeRunId, type Head } from '#contracts';
import { emptyHead } from './head.js';
import type { InboxItem } from './inbox-item.js';
import { Lane, MAX_RECORD_MESSAGES, type LoadedHead } from './lane.js';

const NOW = 1_000;
const key = { shard: 0, agentToken: 'main', sessionToken: 's' };

function item(seq: number, route = ''): InboxItem {
  const message = { v: 1 as const, kind: 'message' as const, id: `m${seq}`, text: 'x' };
  return { seq, id: message.id, storedAtMs: seq, content: { ok: true, message }, route };
}

function broken(seq: number): InboxItem {
  return { seq, id: `seq:${seq}`, storedAtMs: seq, content: { ok: false, problem: 'why' }, route: '' };
}

function loaded(head: Partial<Head> = {}, seq = 7): LoadedHead {
  return { head: { ...emptyHead(), ...head }, seq, stateSeq: 0 };
}

function openLane(items: readonly InboxItem[], ...open: Parameters<Lane['open']> | []): Lane {
  const lane = new Lane(key);
  lane.open(open[0] ?? loaded(), open[1]);
  for (const each of items) lane.arrive(each);
  return lane;
}

const seqsOf = (items: readonly InboxItem[] | undefined) => items?.map(({ seq }) => seq);

/** Takes a batch and commits it as the runner would. */
function runTurn(lane: Lane): number[] {
  const seqs = lane.take(NOW).items.map(({ seq }) => seq);
  lane.goOnFrom(loaded({ ...lane.head, ...lane.cursorAfter(seqs), run: null }, lane.headSeq + 1));
  lane.endTurn();
  return seqs;
}

describe('queue', () => {
  it('L2 one turn has all waiting messages of the oldest route, and routes take turns by their oldest message', () => {
    const lane = openLane([item(1, 'a'), item(2, 'b'), item(3, 'a'), item(4, 'c'), item(5, 'b')]);
    const turns: number[][] = [];
    turns.push(runTurn(lane));
    lane.arrive(item(6, 'a'));
    while (lane.canTake(NOW)) turns.push(runTurn(lane));
    expect(turns).toEqual([[1, 3], [2, 5], [4], [6]]);
    expect(lane.head).toMatchObject({ upto: 6, done: [] });
  });

  it('L1 what is read twice, or decided already, does not arrive', () => {
    const lane = openLane([], loaded({ upto: 3, done: [[6, 8]] }));
    expect([2, 3, 4, 4, 5, 7, 8, 9].map((seq) => lane.arrive(item(seq)))).toEqual([
      ...[false, false, true, false, true],
      ...[false, false, true],
    ]);
    expect(seqsOf(lane.take(NOW).items)).toEqual([4, 5, 9]);
  });

  it('L1 what came before the head was read, and the head has decided, is gone once it is open', () => {
    const lane = new Lane(key);
    for (const seq of [1, 2, 3, 4]) lane.arrive(seq === 2 ? broken(seq) : item(seq));
    expect(lane.canTake(NOW)).toBe(false);
    lane.open(loaded({ upto: 3 }));
    expect(lane.toReject).toEqual([]);
    expect(seqsOf(lane.take(NOW).items)).toEqual([4]);
  });

  it('names the batch by its messages', () => {
    const batch = openLane([item(3), item(5)]).take(NOW);
    expect(batch).toMatchObject({ runId: makeRunId(key, [3, 5]), attempt: 1, crashes: 0 });
  });

  it('takes nothing while a turn runs, nor from an empty queue', () => {
    const lane = openLane([item(1)]);
    lane.take(NOW);
    lane.arrive(item(2));
    expect(lane.canTake(NOW)).toBe(false);
    expect(() => lane.take(NOW)).toThrow('nothing to take');
    expect(() => openLane([]).take(NOW)).toThrow('nothing to take');
  });

  it('what cannot be a message waits for its rejection, and no turn takes it', () => {
    const lane = openLane([item(1), broken(2), item(3)]);
    expect(seqsOf(lane.toReject)).toEqual([2]);
    expect(lane.depth).toBe(3);
    expect(seqsOf(lane.take(NOW).items)).toEqual([1, 3]);
    expect(lane.depth).toBe(1);
  });

  it('a record decides a bounded number of messages, in turns and in notes', () => {
    const many = Array.from({ length: MAX_RECORD_MESSAGES + 1 }, (_, i) => i + 1);
    const lane = openLane([...many.map((seq) => item(seq)), ...many.map((seq) => broken(seq + 10_000))]);
    expect(lane.toReject.length).toBe(MAX_RECORD_MESSAGES);
    expect(runTurn(lane)).toEqual(many.slice(0, MAX_RECORD_MESSAGES));
    expect(runTurn(lane)).toEqual(many.slice(MAX_RECORD_MESSAGES));
  });

  it('at the bound of done ranges it takes only its oldest message, just below it all', () => {
    const ranges = (count: number) =>
      Array.from({ length: count }, (_, i): [number, number] => [2 * i + 10, 2 * i + 10]);
    const items = [item(3_001), item(3_002), item(3_003)];
    expect(seqsOf(openLane(items, loaded({ done: ranges(1_024) })).take(NOW).items)).toEqual([3_001]);
    expect(seqsOf(openLane(items, loaded({ done: ranges(1_023) })).take(NOW).items)).toEqual([3_001, 3_002, 3_003]);
  });

  it('at the bound of done ranges it rejects only what moves `upto`: a record must not grow without end', () => {
    const done = Array.from({ length: 1_024 }, (_, i): [number, number] => [2 * i + 10, 2 * i + 10]);
    const behind = openLane([item(3_001), broken(3_002), broken(3_004)], loaded({ done }));
    expect([behind.hasToReject, seqsOf(behind.toReject)]).toEqual([false, []]);
    expect(runTurn(behind)).toEqual([3_001]);
    expect([behind.hasToReject, seqsOf(behind.toReject)]).toEqual([true, [3_002, 3_004]]);
    const oldest = openLane([broken(3_001), broken(3_002), item(3_003)], loaded({ done }));
    expect(seqsOf(oldest.toReject)).toEqual([3_001]);
  });
});

describe('cursor', () => {
  it('L3 passes over no message that another route, or a rejection, still has to decide', () => {
    const lane = openLane([item(1, 'a'), broken(2), item(3, 'b'), item(4, 'a')]);
    runTurn(lane);
    expect(lane.head).toMatchObject({ upto: 1, done: [[4, 4]] });
    expect(lane.cursorAfter([2])).toEqual({ upto: 2, done: [[4, 4]] });
  });

  it('L3 passes over no message that a new reader has not come to yet', () => {
    const lane = openLane([item(5)], loaded({ upto: 3, done: [[10, 10]] }));
    expect(runTurn(lane)).toEqual([5]);
    expect(lane.arrive(item(7))).toBe(true);
    expect(runTurn(lane)).toEqual([7]);
    expect(lane.arrive(item(10))).toBe(false);
    expect(lane.cursorAfter([])).toEqual({ upto: 10, done: [] });
  });

  it('passes over no message of the running batch', () => {
    const lane = openLane([item(1), item(2)]);
    lane.take(NOW);
    lane.arrive(broken(3));
    expect(lane.cursorAfter([3])).toEqual({ upto: 0, done: [[3, 3]] });
  });
});

describe('frozen batch', () => {
  const run = { runId: 'r', seqs: [2, 4], attempt: 2, crashes: 1 };

  it('L7 runs as the head has it, whatever else waits', () => {
    const lane = openLane([item(1), item(2), item(3), item(4), item(5)], loaded({ run }));
    const batch = lane.take(NOW);
    expect(batch).toMatchObject({ runId: 'r', attempt: 2, crashes: 1 });
    expect(seqsOf(batch.items)).toEqual([2, 4]);
  });

  it('L7 waits until all of it is read', () => {
    const lane = openLane([item(1), item(2), item(3)], loaded({ run }));
    expect([lane.canTake(NOW), lane.isIncomplete]).toEqual([false, true]);
    lane.arrive(item(4));
    expect([lane.canTake(NOW), lane.isIncomplete]).toEqual([true, false]);
    expect(seqsOf(lane.take(NOW).items)).toEqual([2, 4]);
  });

  it('L7 is given up on, under another runId, when the reader has caught up without it', () => {
    const lane = openLane([item(2), item(3)], loaded({ run }));
    lane.giveUpOnMissing();
    expect(lane.isIncomplete).toBe(false);
    const batch = lane.take(NOW);
    expect(batch).toMatchObject({ runId: makeRunId(key, [2, 3]), attempt: 1 });
    // A note beside this turn still carries the old run: it must not come back.
    lane.goOnFrom(loaded({ run }, 8));
    lane.endTurn();
    expect([lane.isIncomplete, lane.canTake(NOW)]).toEqual([false, true]);
  });

  it('is not given up on when it is whole', () => {
    const lane = openLane([item(2), item(4), item(5)], loaded({ run }));
    lane.giveUpOnMissing();
    expect(lane.take(NOW).runId).toBe('r');
  });

  it('is over when a part of it is decided', () => {
    const lane = openLane([item(4), item(5)], loaded({ upto: 2, run }));
    expect(lane.take(NOW).runId).toBe(makeRunId(key, [4, 5]));
  });
});

describe('cut turn', () => {
  const cut = { runId: 'cut', seqs: [1, 3], attempt: 1, headSeq: 7 };

  it('L7 runs again with the same id and messages, as the next attempt, after a note that fences its former runner', () => {
    const lane = openLane([item(1), item(2), item(3)], loaded(), cut);
    const run = { runId: 'cut', seqs: [1, 3], attempt: 2, crashes: 0 };
    expect(lane.runToFence).toEqual(run);
    expect(lane.canTake(NOW)).toBe(false);
    lane.goOnFrom(loaded({ run }, 8));
    expect(lane.runToFence).toBeUndefined();
    const batch = lane.take(NOW);
    expect(batch).toMatchObject({ runId: 'cut', attempt: 2 });
    expect(seqsOf(batch.items)).toEqual([1, 3]);
  });

  it.each<[string, Partial<Head>]>([
    ['decided by the cursor', { upto: 1 }],
    ['decided by a range', { done: [[3, 3]] }],
    ['older than another run', { run: { runId: 'other', seqs: [2], attempt: 1, crashes: 0 } }],
  ])('is ignored when it is %s', (_title, head) => {
    expect(openLane([item(1), item(2), item(3)], loaded(head), cut).runToFence).toBeUndefined();
  });

  it('is void when a record stands behind it: the attempt that it names has ended, or is counted there', () => {
    const run = { runId: 'cut', seqs: [1, 3], attempt: 2, crashes: 0, notBefore: NOW + 500 };
    const lane = openLane([item(1), item(2), item(3)], loaded({ run }, 8), cut);
    expect([lane.runToFence, lane.retryAt, lane.canTake(NOW + 499)]).toEqual([undefined, NOW + 500, false]);
    expect(lane.take(NOW + 500)).toMatchObject({ runId: 'cut', attempt: 2 });
    // Nor does a hint count that begins behind a record which is gone: the stream was restored from a backup.
    expect(openLane([item(1), item(3)], loaded({}, 6), cut).runToFence).toBeUndefined();
  });

  it('keeps the count of crashes, which notes alone raise', () => {
    const head = { run: { runId: 'cut', seqs: [1, 3], attempt: 1, crashes: 2 } };
    expect(openLane([], loaded(head), cut).runToFence).toMatchObject({ attempt: 2, crashes: 2 });
  });

  it('is no ground to wait for ever for messages that are gone', () => {
    const lane = openLane([item(3)], loaded(), cut);
    lane.giveUpOnMissing();
    expect(lane.runToFence).toBeUndefined();
    expect(lane.take(NOW).runId).toBe(makeRunId(key, [3]));
  });
});

describe('lost commit', () => {
  it('L1 a batch of which another record decided a part is no longer whole', () => {
    const lane = openLane([item(1), item(2), item(3)]);
    lane.take(NOW);
    expect(lane.batchIsWhole).toBe(true);
    lane.goOnFrom(loaded({ done: [[2, 2]] }, 8));
    expect(lane.batchIsWhole).toBe(false);
  });

  it('L2 what it left undecided waits again in its place, before what came since', () => {
    const lane = openLane([item(1), item(2), item(3)]);
    lane.take(NOW);
    lane.arrive(item(4));
    lane.goOnFrom(loaded({ upto: 1, done: [[3, 3]] }, 8));
    lane.endTurn();
    expect(lane.headSeq).toBe(8);
    expect(runTurn(lane)).toEqual([2, 4]);
    expect(lane.head).toMatchObject({ upto: 4, done: [] });
  });

  it("L7 goes on with the other's run when its record names one", () => {
    const lane = openLane([item(1), item(2)]);
    lane.take(NOW);
    lane.goOnFrom(loaded({ run: { runId: 'theirs', seqs: [1], attempt: 3, crashes: 0 } }, 8));
    expect(lane.batchIsWhole).toBe(true);
    lane.endTurn();
    expect(lane.take(NOW)).toMatchObject({ runId: 'theirs', attempt: 3, items: [{ seq: 1 }] });
  });
});
