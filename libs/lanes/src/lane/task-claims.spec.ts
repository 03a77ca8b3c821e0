import { describe, expect, it } from 'vitest';
import { emptyHead, laneId } from '#contracts';
import type { InboxItem } from '../backlog/inbox-item.js';
import { cursorAfter } from './next-cursor.js';
import { broken, HOME, item, key, loaded, order, seqsOf } from './lane.fixture.js';
import { Lane } from './lane.js';
import { TaskClaims } from './task-claims.js';

const upto = (seq: number) => ({ ...emptyHead(), upto: seq });
const trigger = (seq: number, task = 'k', route = ''): InboxItem => ({ ...item(seq, route), task: { key: task } });

describe('claims', () => {
  it('last until the message that has them is decided, by whatever record', () => {
    const claims = new TaskClaims();
    claims.set('k', { seq: 3 }, upto(0));
    expect([claims.of('k', upto(2)), claims.of('other', upto(2))]).toEqual([{ seq: 3 }, undefined]);
    expect(claims.of('k', { ...emptyHead(), done: [[3, 3]] })).toBeUndefined();
    expect(claims.of('k', upto(3))).toBeUndefined();
  });

  it('are kept of all that is undecided, however much that is', () => {
    const claims = new TaskClaims();
    for (let seq = 1; seq <= 500; seq++) claims.set(`k${seq}`, { seq }, upto(100));
    const kept = Array.from({ length: 500 }, (_, i) => claims.of(`k${i + 1}`, upto(100))).filter(Boolean);
    expect(kept.map((claim) => claim?.seq)).toEqual(Array.from({ length: 400 }, (_, i) => 101 + i));
  });

  it('of tasks that are over are forgotten, however many keys a session names', () => {
    const claims = new TaskClaims();
    for (let seq = 1; seq <= 1_000; seq++) claims.set(`k${seq}`, { seq }, upto(seq - 1));
    // What is left is decided too by now, and was not looked at yet.
    const kept = Array.from({ length: 1_000 }, (_, i) => claims.of(`k${i + 1}`, upto(0))).filter(Boolean);
    expect(kept.length).toBeLessThan(130);
    expect(claims.of('k1000', upto(999))).toEqual({ seq: 1_000 });
  });
});

describe('a lane', () => {
  const laneOf = (items: readonly InboxItem[], from = loaded()): Lane => {
    const lane = new Lane(laneId(key), HOME);
    for (const each of items) lane.arrive(each, 0);
    lane.open(from);
    return lane;
  };
  const kept = ({ backlog }: Lane) => [seqsOf(backlog.waiting), seqsOf(backlog.refused)];

  it('that has none of them costs nothing', () => {
    expect(laneOf([item(1), item(2)]).tasks).toBeUndefined();
  });

  it('lets the first of one key wait, and each of another', () => {
    const lane = laneOf([]);
    for (const each of [trigger(1), trigger(2), trigger(3, 'other'), item(4), trigger(5)]) lane.arrive(each, 0);
    expect(kept(lane)).toEqual([
      [1, 3, 4],
      [2, 5],
    ]);
    expect([lane.depth, lane.undecidedFrom, seqsOf(lane.toReject)]).toEqual([3, 1, [2, 5]]);
  });

  it('knows before its head is read only who came, and judges them by it', () => {
    const items = [trigger(1), trigger(2), trigger(3), trigger(4, 'other')];
    expect(kept(laneOf(items, loaded({ upto: 0 })))).toEqual([
      [1, 4],
      [2, 3],
    ]);
    expect(kept(laneOf(items, loaded({ upto: 1 })))).toEqual([[2, 4], [3]]);
    expect(kept(laneOf(items, loaded({ done: [[1, 2]] })))).toEqual([[3, 4], []]);
  });

  it('never refuses a message whose run is to come again', () => {
    const run = { runId: 'r', seqs: [2], attempt: 2, crashes: 0 };
    expect(kept(laneOf([trigger(1), trigger(2), trigger(3)], loaded({ run })))).toEqual([[1, 2], [3]]);
    const runs = [{ ...run, seqs: [3] }];
    expect(kept(laneOf([trigger(1), trigger(2), trigger(3)], loaded({ runs })))).toEqual([[1, 3], [2]]);
  });

  it('takes nothing twice that is read again', () => {
    const lane = laneOf([]);
    for (const each of [trigger(1), trigger(2), trigger(1), trigger(2)]) lane.arrive(each, 0);
    expect(kept(lane)).toEqual([[1], [2]]);
    lane.wrote(loaded({ done: [[2, 2]] }, 8));
    lane.arrive(trigger(2), 0);
    expect(kept(lane)).toEqual([[1], []]);
    lane.wrote(loaded({ upto: 2 }, 9));
    lane.arrive(trigger(3), 0);
    expect(kept(lane)).toEqual([[3], []]);
  });

  it('L3 goes on counting from the number of one that it refuses, until that is decided', () => {
    const numbered = (seq: number): InboxItem => {
      const message = { v: 1 as const, kind: 'message' as const, id: `m${seq}`, text: 'x', sequence: seq };
      return { ...trigger(seq), content: { ok: true, message } };
    };
    const lane = laneOf([], loaded({ nextSequence: 1 }));
    for (const seq of [1, 2]) lane.arrive(numbered(seq), 0);
    lane.serial.take(0);
    expect([cursorAfter(lane, [1]).nextSequence, cursorAfter(lane, [2]).nextSequence]).toEqual([2, 1]);
    expect(cursorAfter(lane, [1, 2]).nextSequence).toBe(3);
    lane.backlog.close();
    expect(cursorAfter(lane, [1]).nextSequence).toBe(2);
  });

  it('keeps what gets no turn in the order of the inbox, whenever that was found', () => {
    const lane = laneOf([]);
    for (const each of [item(1), trigger(2), broken(3)]) lane.arrive(each, 0);
    lane.serial.take(0);
    lane.backlog.makeUndeliverable({ ...trigger(2), refusal: { reason: 'why', text: 'so', data: {} } });
    expect([seqsOf(lane.toReject), lane.backlog.oldestSeq, lane.backlog.depth]).toEqual([[2, 3], 2, 1]);
  });

  it('keeps the bodies of none that it refuses, and still knows that they are undecided when it is given away', () => {
    const lane = laneOf([]);
    const long = { ...trigger(2), bytes: 100_000 };
    for (const each of [trigger(1), long, order(3)]) lane.arrive(each, 0);
    expect(lane.backlog.refused).toMatchObject([{ seq: 2, id: 'm2', refusal: { reason: 'already_running' } }]);
    expect(lane.backlog.refused[0]?.content).toEqual({ ok: true, message: { v: 1, kind: 'message', id: 'm2' } });
    expect(lane.backlog.refused[0]?.bytes).toBeLessThan(10);
    lane.backlog.close();
    expect(cursorAfter(lane, [3])).toMatchObject({ done: [[3, 3]] });
  });
});
