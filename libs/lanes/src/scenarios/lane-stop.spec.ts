import { describe, expect, it } from 'vitest';
import { decisionsOf, setUpProcess } from './lane-process.fixture.js';
import type { LaneProgress } from '../runner/shard-lanes.js';
import { rawMessage, sessionKey, settled } from './lane-runner.fixture.js';

describe('while it is in doubt whether the shard is ours', () => {
  it('L4 nothing starts, what runs ends and commits, and it all goes on when it is certain again', async () => {
    let isOurs = true;
    const process = setUpProcess({ mayStart: () => isOurs, capacity: 2 });
    const { receive, end, fail, clock, turns, records, runner } = process;
    for (const [i, session] of ['a', 'b', 'c', 'a'].entries()) await receive(session, i + 1);
    isOurs = false;
    await end('a');
    await fail('b');
    await receive('d', 5);
    await clock.advance(1_000);
    expect([turns.active.size, runner.running]).toEqual([0, 0]);
    expect(decisionsOf(records.of('a'))).toEqual([[1, 'handled']]);
    expect(records.of('b')).toMatchObject([{ run: { attempt: 2 } }]);
    // Too early: it is asked again.
    runner.resume(0);
    expect(turns.active.size).toBe(0);
    isOurs = true;
    runner.resume(1);
    await settled();
    expect(turns.active.size).toBe(0);
    runner.resume(0);
    await settled();
    expect([...turns.active.keys()].toSorted()).toEqual(['a', 'c']);
    await end('a');
    await end('c');
    expect([...turns.active.keys()].toSorted()).toEqual(['b', 'd']);
    runner.resume(0);
    await settled();
    expect(turns.started.length).toBe(6);
  });

  it('L4 a turn that only its note separates from its start does not start', async () => {
    let isOurs = true;
    const first = setUpProcess();
    const { records, clock } = first;
    await first.receive('a', 1);
    first.kill();
    const { receive, closed, open, turns, runner } = setUpProcess({
      ...{ records, clock, isRecovery: true, mayStart: () => isOurs },
    });
    closed.add('ack');
    await receive('a', 1);
    isOurs = false;
    await open();
    expect([turns.started, runner.running, records.of('a').length]).toEqual([[], 0, 1]);
    isOurs = true;
    runner.resume(0);
    await settled();
    expect(turns.active.get('a')?.batch).toMatchObject({ attempt: 2, crashes: 1 });
    expect(records.of('a').length).toBe(1);
  });

  it('L4 nor does one whose shard is released in between: it is not in handoff', async () => {
    const first = setUpProcess();
    const { records, clock } = first;
    await first.receive('a', 1);
    first.kill();
    const { receive, closed, open, turns, runner } = setUpProcess({ records, clock, isRecovery: true });
    closed.add('ack');
    await receive('a', 1);
    const released = runner.releaseShard(0);
    await open();
    expect((await released).open).toEqual([{ session: 'main.a', from: 1 }]);
    expect([turns.started, runner.running]).toEqual([[], 0]);
  });

  it('L4 nothing is written, as it could look like the end of a turn elsewhere; it is once that is certain', async () => {
    let isOurs = false;
    const { receive, records, turns, runner } = setUpProcess({ mayStart: () => isOurs });
    await receive('a', 1, 'rubbish');
    await receive('a', 2);
    await receive('a', 3, { kind: 'control', op: 'cancel', target: { what: 'session' } });
    expect([turns.started, records.writes]).toEqual([[], 0]);
    isOurs = true;
    runner.resume(0);
    await settled();
    expect([turns.started, decisionsOf(records.of('a')).length]).toEqual([[], 3]);
  });

  it('L6 any number of lanes may wait for that', async () => {
    let isOurs = true;
    const { runner, turns, end, receive } = setUpProcess({ mayStart: () => isOurs, capacity: 1 });
    await receive('first', 1);
    const count = 20_000;
    for (let i = 0; i < count; i++) runner.receive(sessionKey(`s${i}`), rawMessage(i + 2));
    await settled();
    isOurs = false;
    await end('first');
    expect([turns.started.length, runner.running]).toEqual([1, 0]);
    isOurs = true;
    runner.resume(0);
    await settled();
    expect(turns.active.get('s0')?.seqs).toEqual([2]);
    await end('s0');
    expect([...turns.active.keys()]).toEqual(['s1']);
  });
});

describe('a released shard', () => {
  it('receives nothing any more, nor does one that was never open', async () => {
    const { runner, receive, turns, records } = setUpProcess();
    await runner.releaseShard(0);
    await receive('a', 1);
    await receive('b', 2, 'rubbish');
    runner.receive({ ...sessionKey('a'), shard: 3 }, rawMessage(3));
    await settled();
    expect([turns.started, records.writes, runner.progress(0), runner.runningIn(0)]).toEqual([[], 0, undefined, 0]);
    await expect(runner.releaseShard(0)).rejects.toThrow('shard 0 is not open');
    for (const harmless of [() => runner.dropShard(0), () => runner.resume(0), () => runner.caughtUp(0)]) harmless();
    runner.sawNothingUpTo(0, 7);
    runner.receivedOpen(sessionKey('a'));
  });

  it('L4 begins nothing and takes nothing while it waits for what is being written', async () => {
    const { runner, receive, end, fail, turns, closed, open, clock } = setUpProcess({ capacity: 2 });
    await receive('r', 1);
    await fail('r');
    for (const [i, session] of ['a', 'b', 'c', 'a'].entries()) await receive(session, i + 2);
    closed.add('write');
    await end('a');
    const released = runner.releaseShard(0);
    await clock.advance(2_000);
    await end('b');
    await receive('d', 6);
    runner.resume(0);
    await open();
    expect(await released).toEqual({
      ...{ read: 5, tail: 3 },
      open: [
        { session: 'main.r', from: 1 },
        { session: 'main.a', from: 5 },
        { session: 'main.c', from: 4 },
      ],
    });
    expect(turns.started.length).toBe(3);
  });

  it.each([0, 1, 2])('waits until no more than %i of its turns run, which are let go then', async (maxHandoffs) => {
    const { runner, receive, end, turns } = setUpProcess({ capacity: 3 });
    for (const [i, session] of ['a', 'b', 'c', 'd'].entries()) await receive(session, i + 1);
    runner.openShard(1, { read: 0, tail: 0, open: [] });
    expect([runner.runningIn(0), runner.waiting]).toEqual([3, 1]);
    let progress: LaneProgress | undefined;
    void runner.releaseShard(0, maxHandoffs).then((released) => (progress = released));
    await settled();
    for (const session of ['a', 'b', 'c'].slice(0, 3 - maxHandoffs)) {
      expect([progress, runner.waiting]).toEqual([undefined, 0]);
      await end(session);
    }
    const held = ['main.a', 'main.b', 'main.c'].slice(3 - maxHandoffs);
    expect(progress?.open.map(({ session, holder }) => [session, holder])).toEqual([
      ...held.map((session) => [session, 'w/1']),
      ['main.d', undefined],
    ]);
    expect([turns.started.length, runner.running]).toEqual([3, maxHandoffs]);
  });

  it('says what runs of it, and another shard goes on as if nothing had been', async () => {
    const { runner, receive, turns, records } = setUpProcess({ capacity: 1 });
    runner.openShard(1, { read: 10, tail: 5, open: [] });
    await receive('a', 1);
    runner.receive({ ...sessionKey('other'), shard: 1 }, rawMessage(11));
    await settled();
    expect([runner.runningIn(0), runner.runningIn(1), turns.active.size]).toEqual([1, 0, 1]);
    const held = turns.active.get('a');
    await runner.releaseShard(0);
    expect([runner.runningIn(0), runner.running]).toEqual([0, 1]);
    held?.end();
    await settled();
    expect([...turns.active.keys()]).toEqual(['other']);
    expect([records.of('a').length, runner.progress(1)]).toEqual([
      1,
      { read: 11, tail: 5, open: [{ session: 'main.other', from: 11 }] },
    ]);
  });
});

describe('a lost shard', () => {
  it('L1 L4 its turns are dead at once, their results count for nothing, and nothing of it starts again', async () => {
    const { runner, receive, turns, clock, records, fail, answer } = setUpProcess({ capacity: 1 });
    await receive('r', 1);
    await fail('r');
    for (const [i, session] of ['a', 'b', 'a'].entries()) await receive(session, i + 2);
    const [, turn] = turns.started;
    const signal = turn?.signal;
    const { writes } = records;
    runner.dropShard(0);
    await settled();
    expect([signal?.aborted, turns.active.size, runner.running, runner.discarded]).toEqual([true, 0, 0, 1]);
    turn?.end();
    await receive('c', 5);
    await clock.runOut();
    expect([turns.started.length, records.writes, runner.discarded]).toEqual([2, writes, 1]);
    expect(answer()).toMatchObject({ state: 'idle' });
  });

  it('a result that is on its way when it is lost is judged by the broker, and counted once', async () => {
    for (const isLate of [false, true]) {
      const { runner, receive, end, closed, open, records } = setUpProcess();
      await receive('a', 1);
      closed.add('write');
      await end('a');
      runner.dropShard(0);
      if (isLate) {
        const note = { v: 1, kind: 'note', commitId: 'x', worker: 'w/2', ...records.head('a').head, messages: [] };
        records.write('a', JSON.stringify(note), 0);
      }
      await open();
      expect([records.of('a').at(-1)?.kind, runner.discarded]).toEqual(isLate ? ['note', 1] : ['turn', 0]);
    }
  });

  it('what a process let go, and others have run again since, is discarded when it looks after it', async () => {
    const first = setUpProcess();
    const { records, clock } = first;
    for (const [i, session] of ['a', 'b', 'c'].entries()) await first.receive(session, i + 1);
    await first.runner.releaseShard(0);
    const second = setUpProcess({ records, clock, isRecovery: true });
    await second.receive('a', 1);
    const [a, b] = [first.turn('a').signal, first.turn('b').signal];
    await first.runner.work.discardOverrun();
    expect([a.aborted, b.aborted, first.runner.discarded]).toEqual([true, false, 1]);
    await first.runner.work.discardOverrun();
    expect(first.runner.discarded).toBe(1);
    for (const session of ['b', 'c']) await first.end(session);
    expect([records.of('a').length, records.of('b').length, records.of('c').length]).toEqual([1, 1, 1]);
    expect(first.runner.discarded).toBe(1);
  });

  it('a turn of a shard that is ours is not looked after: its own notes stand behind its start', async () => {
    const { runner, receive, turn, end } = setUpProcess();
    await receive('a', 1);
    await receive('a', 2, 'rubbish');
    await runner.work.discardOverrun();
    expect([turn('a').signal.aborted, runner.discarded]).toEqual([false, 0]);
    await runner.releaseShard(0);
    await runner.work.discardOverrun();
    expect([turn('a').signal.aborted, runner.discarded]).toEqual([false, 0]);
    await end('a');
  });
});

describe('what is handed back', () => {
  it('a failed attempt whose note is on its way stays failed: its count and its backoff are kept', async () => {
    const { runner, receive, fail, closed, open, records } = setUpProcess();
    await receive('a', 1);
    closed.add('write');
    await fail('a');
    void runner.releaseShard(0);
    const handedBack = runner.work.handBackAll();
    await open();
    await handedBack;
    expect(records.of('a').length).toBe(1);
    expect(records.of('a')[0]?.run).toMatchObject({ attempt: 2, failures: 1, notBefore: 2_000 });
  });

  it('a result that is on its way counts, and nothing is handed back behind it', async () => {
    const { runner, receive, end, closed, open, records } = setUpProcess();
    await receive('a', 1);
    closed.add('write');
    await end('a');
    void runner.releaseShard(0);
    const handedBack = runner.work.handBackAll();
    await open();
    await handedBack;
    expect(records.of('a')).toMatchObject([{ kind: 'turn', status: 'succeeded' }]);
    expect([runner.running, runner.discarded]).toEqual([0, 0]);
  });

  it('a batch of which another record decided a part is not', async () => {
    const { runner, receive, clock, records } = setUpProcess();
    await receive('a', 1);
    const other = setUpProcess({ records, clock, isRecovery: true });
    await other.receive('a', 1);
    await other.end('a');
    await receive('a', 2, 'rubbish');
    const { length } = records.of('a');
    await runner.releaseShard(0);
    await runner.work.handBackAll();
    expect(records.of('a').length).toBe(length);
  });

  it('many times costs no attempt, and never leads into quarantine', async () => {
    let process = setUpProcess();
    const { records, clock } = process;
    for (let i = 1; i <= 5; i++) {
      await process.receive('a', 1);
      expect(process.turn('a').batch).toMatchObject({ attempt: i, crashes: 0, failures: 0, isQuarantined: false });
      await process.runner.releaseShard(0);
      await process.runner.work.handBackAll();
      expect(records.of('a').at(-1)?.run).not.toHaveProperty('notBefore');
      process = setUpProcess({ records, clock });
    }
  });

  it('keeps since when it is put off: stops must not make "later" a way to live for ever', async () => {
    const first = setUpProcess({ random: () => 0 });
    const { records, clock } = first;
    await first.receive('a', 1);
    await first.fail('a', 'later', { laterMs: 50_000 });
    const since = clock.now();
    await clock.advance(50_000);
    await first.runner.releaseShard(0);
    await first.runner.work.handBackAll();
    expect(records.of('a').at(-1)?.run).toMatchObject({ attempt: 2, laterSince: since });
  });
});
