import { describe, expect, it, vi } from 'vitest';
import { cancelOrder, decisionsOf, setUpProcess } from '../scenarios/lane-process.fixture.js';
import { rawMessage, sessionKey, settled } from '../scenarios/lane-runner.fixture.js';
import type { LaneRunner } from '../runner/lane-runner.js';

describe('a turn', () => {
  it('L6 whose write rejects, which none should, ends dead, and its session goes on', async () => {
    const { store, receive, end, records, runner, started } = setUpProcess();
    await receive('a', 1);
    vi.spyOn(store, 'write').mockRejectedValueOnce(new Error('a bug'));
    await end('a');
    expect(decisionsOf(records.of('a'))).toEqual([[1, 'dead']]);
    await receive('a', 2);
    expect([runner.running, started('a').at(-1)?.seqs]).toEqual([1, [2]]);
  });

  it('L6 whose every write rejects stops its own session, and no other', async () => {
    const { store, receive, end, runner } = setUpProcess();
    await receive('a', 1);
    await receive('b', 2);
    const write = vi.spyOn(store, 'write').mockRejectedValue(new Error('a bug'));
    await end('a');
    write.mockRestore();
    await receive('a', 3);
    expect([runner.running, runner.describe(sessionKey('a')).state]).toEqual([1, 'running']);
    await end('b');
    await receive('b', 4);
    expect(runner.running).toBe(1);
  });

  it('L6 that has ended stops its session for nothing that another one does in its slot', async () => {
    let isBroken = false;
    const mayStart = (): boolean => {
      if (isBroken) throw new Error('a bug');
      return true;
    };
    const { receive, end, started, runner } = setUpProcess({ capacity: 2, mayStart });
    for (const [i, session] of ['a', 'b', 'c'].entries()) await receive(session, i + 1);
    isBroken = true;
    await end('a');
    isBroken = false;
    await receive('a', 4);
    await end('b');
    expect([started('a').at(-1)?.seqs, runner.running]).toEqual([[4], 1]);
  });

  it('L6 beside one that has stopped its session does not begin in its slot', async () => {
    const { store, receive, turns, started, runner } = setUpProcess({ capacity: 1 });
    for (const seq of [1, 2]) await receive('a', seq, { strategy: 'concurrent' });
    vi.spyOn(store, 'write').mockRejectedValue(new Error('a bug'));
    turns.active.get('a/1')?.end();
    await settled();
    expect([started('a').map(({ seqs }) => seqs), runner.running]).toEqual([[[1]], 0]);
  });

  it('L6 that a record has to stand before is stopped by an order, in whatever moment that comes', async () => {
    for (let ticks = 0; ticks < 40; ticks++) {
      const { turns, runner } = setUpProcess({ isRecovery: true, crashedUpTo: 1 });
      runner.receive(sessionKey('a'), rawMessage(1));
      runner.caughtUp(0);
      for (let i = 0; i < ticks; i++) await undefined;
      runner.receive(sessionKey('a'), rawMessage(2, cancelOrder({ what: 'session' })));
      await settled();
      const isRunning = turns.active.get('a')?.signal.aborted === false;
      expect([ticks, isRunning]).toEqual([ticks, false]);
    }
  });

  it.each([
    ['its shard is lost', (runner: LaneRunner): void => runner.dropShard(0)],
    ['what runs is handed back', (runner: LaneRunner): void => void runner.work.handBackAll()],
  ])(
    'L4 that a record has to stand before does not begin when %s meanwhile, in whatever moment',
    async (_why, stop) => {
      for (let ticks = 0; ticks < 40; ticks++) {
        let mayStart = true;
        const options = { isRecovery: true, crashedUpTo: 1, mayStart: () => mayStart };
        const { turns, runner } = setUpProcess(options);
        runner.receive(sessionKey('a'), rawMessage(1));
        runner.caughtUp(0);
        while (runner.running === 0) await undefined;
        for (let i = 0; i < ticks; i++) await undefined;
        const before = turns.started.length;
        mayStart = false;
        stop(runner);
        await settled();
        expect([ticks, turns.started.length, runner.running]).toEqual([ticks, before, 0]);
      }
    },
  );
});
