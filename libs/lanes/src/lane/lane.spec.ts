import { describe, expect, it } from 'vitest';
import { makeRunId, MAX_RECORD_MESSAGES, type LoadedHead, laneId } from '#contracts';
import { describeLane } from './describe-lane.js';
import { needsReadingAhead } from './needs-reading-ahead.js';
import { broken, HOME, item, key, loaded, NOW, openLane, runTurn, seqsOf } from './lane.fixture.js';
import { Lane } from './lane.js';

it('a lane that rests makes no workload for a question about it, nor for a message that is decided already', () => {
  const lane = new Lane(laneId(key), { ...HOME, isBehind: true });
  lane.open(loaded());
  lane.arrive(item(1), 0);
  runTurn(lane);
  lane.rest();
  const asked = [
    describeLane(lane, () => undefined, NOW, 'w/1'),
    needsReadingAhead(lane, NOW),
    lane.knownUpTo,
    lane.arrive(item(1), 0),
  ];
  expect(asked).toEqual([{ state: 'idle', depth: 0, oldestMs: null, worker: 'w/1' }, false, 1, false]);
  expect(lane['workload']).toBeUndefined();
});

describe('queue', () => {
  it('L2 one turn has all waiting messages of the oldest route, and routes take turns by their oldest message', () => {
    const lane = openLane([item(1, 'a'), item(2, 'b'), item(3, 'a'), item(4, 'c'), item(5, 'b')]);
    const turns: number[][] = [];
    turns.push(runTurn(lane));
    lane.arrive(item(6, 'a'), 0);
    while (lane.serial.canTake(NOW)) turns.push(runTurn(lane));
    expect(turns).toEqual([[1, 3], [2, 5], [4], [6]]);
    expect(lane.head).toMatchObject({ upto: 6, done: [] });
  });

  it('L1 what is read twice, or decided already, does not arrive', () => {
    const lane = openLane([], loaded({ upto: 3, done: [[6, 8]] }));
    expect([2, 3, 4, 4, 5, 7, 8, 9].map((seq) => lane.arrive(item(seq), 0))).toEqual([
      ...[false, false, true, false, true],
      ...[false, false, true],
    ]);
    expect(seqsOf(lane.serial.take(NOW).items)).toEqual([4, 5, 9]);
  });

  it('L1 what came before the head was read, and the head has decided, is gone once it is open', () => {
    const lane = new Lane(laneId(key), HOME);
    for (const seq of [1, 2, 3, 4]) lane.arrive(seq === 2 ? broken(seq) : item(seq), 0);
    expect(lane.serial.canTake(NOW)).toBe(false);
    lane.open(loaded({ upto: 3 }));
    expect(lane.toReject).toEqual([]);
    expect(seqsOf(lane.serial.take(NOW).items)).toEqual([4]);
  });

  it('names the batch by its messages', () => {
    const batch = openLane([item(3), item(5)]).serial.take(NOW);
    expect(batch).toMatchObject({ runId: makeRunId(key, [3, 5]), attempt: 1, crashes: 0 });
  });

  it('takes nothing while a turn runs, nor from an empty queue', () => {
    const lane = openLane([item(1)]);
    lane.serial.take(NOW);
    lane.arrive(item(2), 0);
    expect(lane.serial.canTake(NOW)).toBe(false);
    expect(() => lane.serial.take(NOW)).toThrow('nothing to take');
    expect(() => openLane([]).serial.take(NOW)).toThrow('nothing to take');
  });

  it('what cannot be a message waits for its rejection, and no turn takes it', () => {
    const lane = openLane([item(1), broken(2), item(3)]);
    expect(seqsOf(lane.toReject)).toEqual([2]);
    expect(lane.backlog.depth).toBe(3);
    expect(seqsOf(lane.serial.take(NOW).items)).toEqual([1, 3]);
    expect(lane.backlog.depth).toBe(1);
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
    expect(seqsOf(openLane(items, loaded({ done: ranges(1_024) })).serial.take(NOW).items)).toEqual([3_001]);
    expect(seqsOf(openLane(items, loaded({ done: ranges(1_023) })).serial.take(NOW).items)).toEqual([
      3_001, 3_002, 3_003,
    ]);
  });

  it('at the bound of done ranges it rejects only what moves `upto`: a record must not grow without end', () => {
    const done = Array.from({ length: 1_024 }, (_, i): [number, number] => [2 * i + 10, 2 * i + 10]);
    const behind = openLane([item(3_001), broken(3_002), broken(3_004)], loaded({ done }));
    expect(seqsOf(behind.toReject)).toEqual([]);
    expect(runTurn(behind)).toEqual([3_001]);
    expect(seqsOf(behind.toReject)).toEqual([3_002, 3_004]);
    const oldest = openLane([broken(3_001), broken(3_002), item(3_003)], loaded({ done }));
    expect(seqsOf(oldest.toReject)).toEqual([3_001]);
  });
});

describe('frozen batch', () => {
  const run = { runId: 'r', seqs: [2, 4], attempt: 2, crashes: 1 };

  it('L7 runs as the head has it, whatever else waits', () => {
    const lane = openLane([item(1), item(2), item(3), item(4), item(5)], loaded({ run }));
    const batch = lane.serial.take(NOW);
    expect(batch).toMatchObject({ runId: 'r', attempt: 2, crashes: 1 });
    expect(seqsOf(batch.items)).toEqual([2, 4]);
  });

  it('L7 waits until all of it is read', () => {
    const lane = openLane([item(1), item(2), item(3)], loaded({ run }));
    expect([lane.serial.canTake(NOW), lane.isIncomplete]).toEqual([false, true]);
    lane.arrive(item(4), 0);
    expect([lane.serial.canTake(NOW), lane.isIncomplete]).toEqual([true, false]);
    expect(seqsOf(lane.serial.take(NOW).items)).toEqual([2, 4]);
  });

  it('L7 is given up on, under another runId, when the reader has caught up without it', () => {
    const lane = openLane([item(2), item(3)], loaded({ run }));
    lane.giveUpOnMissing();
    expect([lane.isIncomplete, lane.serial.prepareNote()]).toEqual([false, undefined]);
    const batch = lane.serial.take(NOW);
    expect(batch).toMatchObject({ runId: makeRunId(key, [2, 3]), attempt: 1, crashes: 0 });
    // A note beside this turn still carries the old run: it must not come back.
    lane.resumeFrom(loaded({ run }, 8));
    lane.serial.end(0);
    expect([lane.isIncomplete, lane.serial.canTake(NOW)]).toEqual([false, true]);
  });

  it('is not given up on when it is whole', () => {
    const lane = openLane([item(2), item(4), item(5)], loaded({ run }));
    lane.giveUpOnMissing();
    expect(lane.serial.take(NOW).runId).toBe('r');
  });

  it('is over when a part of it is decided', () => {
    const lane = openLane([item(4), item(5)], loaded({ upto: 2, run }));
    expect(lane.serial.take(NOW).runId).toBe(makeRunId(key, [4, 5]));
  });
});

describe('hold', () => {
  const held = (from: LoadedHead): Lane => {
    const lane = new Lane(laneId(key), HOME);
    lane.handoff = { holder: 'w/0', since: 7 };
    lane.arrive(item(1), 0);
    lane.open(from);
    return lane;
  };

  it('L1 nothing is taken while another process may run a turn, also no retry', () => {
    const lane = held(loaded({ run: { runId: 'r', seqs: [1], attempt: 2, crashes: 0, notBefore: 5 } }));
    expect([lane.handoff?.holder, lane.serial.canTake(NOW), lane.serial.retryAt]).toEqual(['w/0', false, undefined]);
    expect(() => lane.serial.take(NOW)).toThrow('nothing to take');
  });

  it('is over when a later record stands, and when its holder is gone', () => {
    const over = held(loaded({}, 8));
    expect([over.handoff, over.serial.canTake(NOW)]).toEqual([undefined, true]);
    const gone = held(loaded());
    gone.assumeCrash(undefined, 1, NOW);
    expect([gone.handoff, gone.serial.prepareNote()?.attempt]).toEqual([undefined, 2]);
  });
});

describe('undecidedFrom', () => {
  it('is the lowest of what waits, is broken, runs, or may still have to be read', () => {
    const lane = openLane([item(4), broken(5)]);
    expect(lane.undecidedFrom).toBe(4);
    lane.serial.take(NOW);
    expect(lane.undecidedFrom).toBe(4);
    lane.wrote(loaded({ upto: 4 }, 8));
    lane.serial.end(0);
    expect(lane.undecidedFrom).toBe(5);
    lane.unreadFrom = 2;
    expect(lane.undecidedFrom).toBe(2);
    lane.unreadFrom = undefined;
    lane.wrote(loaded({ upto: 5 }, 9));
    expect(lane.undecidedFrom).toBeUndefined();
  });
});

describe('lost commit', () => {
  it('while nothing runs says nothing about the turn that comes next', () => {
    const lane = openLane([]);
    lane.lost(loaded({ upto: 0 }, 9));
    lane.arrive(item(3), 0);
    lane.serial.take(NOW);
    expect(lane.serial.isWhole).toBe(true);
  });

  it('L1 a batch of which another record decided a part is no longer whole', () => {
    const lane = openLane([item(1), item(2), item(3)]);
    lane.serial.take(NOW);
    expect(lane.serial.isWhole).toBe(true);
    lane.resumeFrom(loaded({ done: [[2, 2]] }, 8));
    expect(lane.serial.isWhole).toBe(false);
  });

  it('L2 what it left undecided waits again in its place, before what came since', () => {
    const lane = openLane([item(1), item(2), item(3)]);
    lane.serial.take(NOW);
    lane.arrive(item(4), 0);
    lane.resumeFrom(loaded({ upto: 1, done: [[3, 3]] }, 8));
    lane.serial.end(0);
    expect(lane.headSeq).toBe(8);
    expect(runTurn(lane)).toEqual([2, 4]);
    expect(lane.head).toMatchObject({ upto: 4, done: [] });
  });

  it("L7 goes on with the other's run when its record names one", () => {
    const lane = openLane([item(1), item(2)]);
    lane.serial.take(NOW);
    lane.resumeFrom(loaded({ run: { runId: 'theirs', seqs: [1], attempt: 3, crashes: 0 } }, 8));
    expect(lane.serial.isWhole).toBe(true);
    lane.serial.end(0);
    expect(lane.serial.take(NOW)).toMatchObject({ runId: 'theirs', attempt: 3, items: [{ seq: 1 }] });
  });
});
