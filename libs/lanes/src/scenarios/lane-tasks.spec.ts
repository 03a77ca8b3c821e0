import { describe, expect, it } from 'vitest';
import { jsonText } from '#contracts';
import { cancelOrder } from './lane-process.fixture.js';
import { sessionKey, settled } from './lane-runner.fixture.js';
import { REFUSAL, setUpTasks, TaskTurns } from './lane-tasks.fixture.js';

const seqs = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('a second trigger of a task', () => {
  it('is refused at once by a note that tells its sender about the turn that runs', async () => {
    const { trigger, clock, records, turn, told, sends, events, end, depth } = setUpTasks();
    await trigger(1);
    const { runId } = turn('a').batch;
    await clock.advance(30);
    await trigger(2, 'k', { thread: 't', replyTo: 'https://example.com/r' });
    expect(records.of('a')).toMatchObject([
      { kind: 'note', messages: [{ id: 'm2', seq: 2, decision: 'refused', reason: 'already_running' }] },
    ]);
    const startedAt = clock.now() - 30;
    expect(sends()).toEqual([
      {
        kind: 'reply',
        text: 'This task is already waiting or running.',
        data: jsonText({ task: 'k', result: 'already_running', runId, startedAt }),
        seq: 2,
        thread: 't',
        replyTo: 'https://example.com/r',
      },
    ]);
    expect(told()).toEqual(['message-refused']);
    expect(events[0]).toMatchObject({ messageId: 'm2', seq: 2, reason: 'already_running', queueDepth: 0 });
    expect(depth()).toBe(0);
    await end('a');
    await trigger(3);
    expect(turn('a').seqs).toEqual([3]);
  });

  it('is judged by the record that is on its way, of which its sender may have heard before the lane', async () => {
    const { trigger, turns, turn, end, otherwise, depth } = setUpTasks();
    let pass = (): void => {};
    turns.gate = new Promise((resolve) => (pass = resolve));
    await trigger(1);
    const ending = end('a');
    await settled();
    await trigger(2);
    await trigger(3);
    expect(otherwise()).toEqual({});
    turns.gate = undefined;
    pass();
    await ending;
    await settled();
    expect(turn('a').seqs).toEqual([2]);
    expect(otherwise()).toEqual({ 3: 'refused' });
    expect(depth()).toBe(0);
  });

  it('hears less of one that only waits, and nothing at all where silence was asked for', async () => {
    const { trigger, send, sends, otherwise } = setUpTasks();
    await send(1);
    await trigger(2);
    await trigger(3);
    expect(sends()).toMatchObject([{ seq: 3, data: jsonText({ task: 'k', result: 'already_running' }) }]);
    expect(Object.keys(Object(sends()[0]?.data?.value))).toEqual(['task', 'result']);
    const silent = setUpTasks({ overflowAction: 'silent' });
    await silent.trigger(1);
    await silent.trigger(2);
    expect([silent.sends(), silent.otherwise()]).toEqual([[], { 2: 'refused' }]);
    expect(otherwise()).toEqual({ 3: 'refused' });
  });

  it('pushes no message out of a full queue: 50 behind 20 that wait', async () => {
    const { send, trigger, depth, batches, turns, clock, otherwise } = setUpTasks({
      strategy: 'fifo',
      maxQueueSize: 21,
    });
    for (const seq of seqs(1, 21)) await send(seq);
    expect(depth()).toBe(20);
    for (const seq of seqs(22, 71)) {
      await trigger(seq);
      expect(depth()).toBe(21);
    }
    for (let i = 0; i < 22; i++) {
      turns.of('a')[0]?.end();
      await clock.advance(0);
    }
    expect(batches()).toEqual(seqs(1, 22).map((seq) => [seq]));
    expect(otherwise()).toEqual(Object.fromEntries(seqs(23, 71).map((seq) => [seq, 'refused'])));
  });

  it('runs once of 600 that wait, most of whose bodies would not be kept', async () => {
    const { runner, turns, otherwise, batches, end, trigger, closed, open, clock } = setUpTasks({}, { laneBuffer: 8 });
    await trigger(1, 'first');
    closed.add('write');
    for (const seq of seqs(2, 20)) await trigger(seq, `k${seq}`);
    for (const seq of seqs(21, 620)) await trigger(seq, 'k20');
    expect([runner.describe(sessionKey('a')).depth, runner.memory.waitingBytes < 10_000]).toEqual([19, true]);
    await open();
    await clock.advance(0);
    await end('a');
    for (let i = 0; i < 19; i++) {
      turns.of('a')[0]?.end();
      await clock.advance(0);
    }
    expect(batches()).toEqual(seqs(1, 20).map((seq) => [seq]));
    expect(otherwise()).toEqual(Object.fromEntries(seqs(21, 620).map((seq) => [seq, 'refused'])));
  });

  it('may run when the first was cancelled, dropped, expired, refused or dead', async () => {
    const { send, trigger, otherwise, turn, clock, last, fail } = setUpTasks({
      ...{ strategy: 'fifo', maxQueueSize: 1, queueTimeoutMs: 500 },
    });
    await send(1);
    await trigger(2);
    await send(3, cancelOrder({ what: 'message', seq: 2 }));
    await trigger(4);
    await send(5);
    await trigger(6);
    await clock.advance(500);
    expect(otherwise()).toEqual({ 2: 'cancelled', 4: 'dropped', 5: 'dropped', 6: 'expired' });
    await trigger(7);
    turn('a').end();
    await settled();
    turn('a').refuse(REFUSAL);
    await settled();
    await trigger(8);
    await fail('a', 'No', 'never');
    expect(last()?.messages).toMatchObject([{ seq: 8, decision: 'dead' }]);
    await trigger(9);
    expect(turn('a').seqs).toEqual([9]);
  });

  it('is cancelled with the rest of its session, where its note has not been written', async () => {
    const { send, trigger, otherwise, closed, open, end, turns } = setUpTasks();
    await trigger(1);
    closed.add('write');
    await send(2, 'rubbish');
    await trigger(3);
    await send(4, cancelOrder({ what: 'session' }));
    await open();
    await end('a');
    expect(otherwise()).toEqual({ 1: 'cancelled', 2: 'rejected', 3: 'cancelled' });
    expect(turns.started.length).toBe(1);
  });

  it('leaves no gap in the numbers of its session', async () => {
    const { send, trigger, batches, end, otherwise, clock } = setUpTasks({ strategy: 'fifo' });
    await send(1, { sequence: 1 });
    await trigger(2, 'k', { sequence: 2 });
    await trigger(3, 'k', { sequence: 3 });
    // Refused before its number is due.
    await trigger(4, 'k', { sequence: 5 });
    await send(5, { sequence: 6 });
    await send(6, { sequence: 4 });
    for (let i = 0; i < 4; i++) await end('a');
    await clock.advance(0);
    expect(batches()).toEqual([[1], [2], [6], [5]]);
    expect(otherwise()).toEqual({ 3: 'refused', 4: 'refused' });
  });

  it('L3 is still there for the next owner when its number was passed over', async () => {
    const a = setUpTasks({ strategy: 'fifo' });
    await a.send(1, { sequence: 1 });
    await a.trigger(2, 'k', { sequence: 2 });
    a.closed.add('write');
    await a.send(3, 'rubbish');
    await a.trigger(4, 'k', { sequence: 3 });
    const releasing = a.runner.releaseShard(0);
    await a.open();
    const from = await releasing;
    expect(a.records.of('a').at(-1)).toMatchObject({ done: [[3, 3]] });
    await a.end('a');
    expect(a.records.of('a').at(-1)).toMatchObject({ upto: 1, nextSequence: 2 });
    const b = setUpTasks({ strategy: 'fifo' }, { records: a.records, clock: a.clock, from });
    await b.trigger(2, 'k', { sequence: 2 });
    await b.trigger(4, 'k', { sequence: 3 });
    expect(b.otherwise()).toEqual({ 3: 'rejected', 4: 'refused' });
    expect(b.running()).toEqual([2]);
  });
});

describe('after a takeover', () => {
  it.each([true, false])('the first undecided one has the task again (a crash: %s)', async (isRecovery) => {
    const a = setUpTasks();
    await a.trigger(1);
    a.closed.add('write');
    await a.send(2, 'rubbish');
    await a.trigger(3);
    a.kill();
    const { records, clock } = a;
    const b = setUpTasks({}, { records, clock, isRecovery });
    await b.trigger(1);
    await b.send(2, 'rubbish');
    await b.trigger(3);
    b.runner.caughtUp(0);
    await settled();
    expect(b.batches()).toEqual([[1]]);
    expect(b.otherwise()).toEqual({ 2: 'rejected', 3: 'refused' });
  });

  it('what comes to a held session is refused when the turn that has the task is over', async () => {
    const a = setUpTasks({}, { worker: 'A/1' });
    await a.trigger(1);
    const from = await a.runner.releaseShard(0);
    const b = setUpTasks({}, { worker: 'B/1', records: a.records, clock: a.clock, from });
    await b.trigger(1);
    await b.trigger(2);
    expect(b.records.writes).toBe(0);
    await a.end('a');
    await a.clock.advance(5);
    expect(b.otherwise()).toEqual({ 2: 'refused' });
    await b.trigger(3);
    expect(b.running()).toEqual([3]);
  });

  it('a record of another worker ends a claim too', async () => {
    const a = setUpTasks({ strategy: 'fifo' });
    await a.trigger(1, 'other');
    await a.trigger(2);
    const b = setUpTasks({ strategy: 'fifo' }, { records: a.records, clock: a.clock, isRecovery: true });
    await b.trigger(1, 'other');
    await b.trigger(2);
    await b.send(3, cancelOrder({ what: 'message', seq: 2 }));
    await a.send(4, 'rubbish');
    await a.trigger(5);
    expect(a.otherwise()).toEqual({ 2: 'cancelled', 4: 'rejected' });
  });
});

describe('a runner that knows no tasks', () => {
  it('runs such messages like any other', async () => {
    const turns = new TaskTurns();
    turns.taskOf = () => undefined;
    const { trigger, send, batches, end } = setUpTasks({}, { turns });
    for (const seq of [1, 2, 3]) await trigger(seq);
    await send(4);
    await end('a');
    expect(batches()).toEqual([[1], [2, 3, 4]]);
  });
});
