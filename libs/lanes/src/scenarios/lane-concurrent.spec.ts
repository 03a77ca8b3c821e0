import { describe, expect, it } from 'vitest';
import { cancelOrder } from './lane-process.fixture.js';
import { settled } from './lane-runner.fixture.js';
import { setUpSession } from './lane-strategies.fixture.js';
import { MAX_CONCURRENT_RUNS } from '../lane/concurrent-runs.js';

const CONCURRENT = { strategy: 'concurrent' } as const;
const place = (seq: number): string => `a/${seq}`;

describe('concurrent', () => {
  it('runs every message at once, and commits each when it ends', async () => {
    const { sendAll, end, runningAll, decisions, records, told } = setUpSession(CONCURRENT);
    await sendAll(1, 2, 3);
    expect(runningAll()).toEqual([1, 2, 3]);
    await end(place(2));
    expect(records.of('a').at(-1)).toMatchObject({ upto: 0, done: [[2, 2]], run: null });
    await end(place(1));
    await end(place(3));
    expect(decisions()).toEqual([2, 1, 3].map((seq) => [seq, 'handled']));
    expect(records.of('a').at(-1)).toMatchObject({ upto: 3, done: [] });
    expect(told()).toEqual(['turn-ended', 'turn-ended', 'turn-ended']);
  });

  it('runs maxConcurrent at the most; the others wait, oldest first', async () => {
    const { sendAll, end, runningAll, told } = setUpSession({ ...CONCURRENT, maxConcurrent: 2 });
    await sendAll(1, 2, 3, 4);
    expect([runningAll(), told()]).toEqual([
      [1, 2],
      ['message-queued', 'message-queued'],
    ]);
    await end(place(2));
    expect(runningAll()).toEqual([1, 3]);
  });

  it('drops only what is too much beside those that run', async () => {
    const limits = { ...CONCURRENT, maxConcurrent: 2, maxQueueSize: 1, onQueueFull: 'drop-newest' } as const;
    const { sendAll, runningAll, decisions } = setUpSession(limits);
    await sendAll(1, 2, 3, 4);
    expect([runningAll(), decisions()]).toEqual([[1, 2], [[4, 'dropped']]]);
  });

  it('L6 tries a failed one again by itself, and no other run waits for it', async () => {
    const { sendAll, fail, end, runningAll, last, clock, answer } = setUpSession(CONCURRENT);
    await sendAll(1, 2);
    await fail(place(1));
    const { runId } = last()?.runs?.[0] ?? { runId: '' };
    expect(last()).toMatchObject({ run: null, runs: [{ seqs: [1], attempt: 2, failures: 1 }] });
    expect(answer()).toMatchObject({ concurrent: [{ seqs: [2] }, { seqs: [1], notBefore: clock.now() + 1_000 }] });
    await sendAll(3);
    await end(place(3));
    // What another one writes does not forget it.
    expect(last()).toMatchObject({ done: [[3, 3]], runs: [{ runId, attempt: 2 }] });
    await clock.advance(1_000);
    expect(runningAll()).toEqual([2, 1]);
    await end(place(1));
    await end(place(2));
    expect(last()).toMatchObject({ upto: 3 });
    expect(last()).not.toHaveProperty('runs');
  });

  it('runs beside the turn of a message that waits its turn, and that beside it', async () => {
    const { send, end, runningAll, batches } = setUpSession({ strategy: 'queue' });
    await send(1);
    await send(2, CONCURRENT);
    await send(3);
    expect(runningAll()).toEqual([1, 2]);
    await end('a');
    expect([runningAll(), batches()]).toEqual([
      [2, 3],
      [[1], [2], [3]],
    ]);
  });

  it('cancels one, and all', async () => {
    const { send, sendAll, turns, decisions } = setUpSession(CONCURRENT);
    await sendAll(1, 2, 3);
    const stop = (seq: number): void => turns.active.get(place(seq))?.end();
    await send(4, cancelOrder({ what: 'message', seq: 2 }));
    expect([1, 2, 3].map((seq) => turns.active.get(place(seq))?.signal.aborted)).toEqual([false, true, false]);
    stop(2);
    await settled();
    await send(5, cancelOrder({ what: 'session' }));
    for (const seq of [1, 3]) stop(seq);
    await settled();
    expect(decisions()).toEqual([
      [2, 'cancelled'],
      [4, 'handled'],
      [1, 'cancelled'],
      [3, 'cancelled'],
      [5, 'handled'],
    ]);
  });

  it('merges into the state what each of them adds, in the order in which they end', async () => {
    const { sendAll, turns, last } = setUpSession(CONCURRENT);
    await sendAll(1, 2);
    const add = (what: string) => ({
      state: { merge: (now: unknown) => [...((now as string[] | undefined) ?? []), what] },
    });
    turns.active.get(place(2))?.end(add('two'));
    await settled();
    turns.active.get(place(1))?.end(add('one'));
    await settled();
    expect(last()?.state?.value).toEqual(['two', 'one']);
  });

  it('ends a turn dead whose merge throws; the state stays, and so does the lane', async () => {
    const { sendAll, turns, records, runningAll } = setUpSession(CONCURRENT);
    await sendAll(1, 2);
    const merge = (): never => {
      throw new Error('no list');
    };
    turns.active.get(place(1))?.end({ state: { merge } });
    await settled();
    expect(records.of('a').at(-1)).toMatchObject({ status: 'failed', error: { name: 'Error', message: 'no list' } });
    expect(runningAll()).toEqual([2]);
  });

  it('takes every slot that is free, also when it comes late', async () => {
    const { receive, end, runningAll } = setUpSession(CONCURRENT, { capacity: 2 });
    await receive('b', 1, { strategy: 'queue' });
    await receive('c', 2, { strategy: 'queue' });
    await receive('a', 3);
    await receive('a', 4);
    await end('b');
    expect(runningAll()).toEqual([3]);
    await end('c');
    expect(runningAll()).toEqual([3, 4]);
  });

  it('begins beside a turn that ends because it is cancelled', async () => {
    const { sendAll, send, turns, runningAll } = setUpSession(CONCURRENT);
    await sendAll(1, 2);
    await send(3, cancelOrder({ what: 'message', seq: 1 }));
    await send(4, cancelOrder({ what: 'message', seq: 2 }));
    await send(5);
    expect([1, 2].map((seq) => turns.active.get(place(seq))?.signal.aborted)).toEqual([true, true]);
    expect(runningAll()).toEqual([1, 2, 5]);
  });

  it('keeps no more in memory than any other lane', async () => {
    const text = 'x'.repeat(200_000);
    const { receive, runner } = setUpSession({ ...CONCURRENT, maxConcurrent: 1 });
    for (let seq = 1; seq <= 30; seq++) await receive('a', seq, { text });
    expect(runner.memory.waitingBytes).toBeLessThan(3_000_000);
    const mixed = setUpSession({ strategy: 'queue' });
    await mixed.receive('a', 1, { text, strategy: 'fifo' });
    for (let seq = 2; seq <= 30; seq++) await mixed.receive('a', seq, { text });
    expect(mixed.runner.memory.waitingBytes).toBeLessThan(3_000_000);
  });

  it('drops nothing that may run now, though it was not kept', async () => {
    const memory = { openLanes: 1_000, bodyBytes: 0, idleLanes: 100, idleBytes: 1_000_000, idleMs: 1_000_000 };
    const { sendAll, open, decisions, runningAll } = setUpSession(
      { ...CONCURRENT, maxQueueSize: 2 },
      { shut: ['head'], memory },
    );
    await sendAll(1, 2, 3, 4, 5);
    await open();
    await settled();
    expect([decisions(), runningAll()]).toEqual([[], [1, 2, 3, 4, 5]]);
  });

  it('begins nothing fresh while too many wait for another attempt', async () => {
    const { send, fail, runningAll } = setUpSession(CONCURRENT, { capacity: 1_000 });
    for (let seq = 1; seq <= 64; seq++) {
      await send(seq);
      await fail(place(seq));
    }
    await send(65);
    expect(runningAll()).toEqual([]);
  });

  it('has no more than so many in work, whatever the setting', async () => {
    const { sendAll, runningAll } = setUpSession(CONCURRENT, { capacity: 1_000 });
    await sendAll(...Array.from({ length: MAX_CONCURRENT_RUNS + 3 }, (_, i) => i + 1));
    expect(runningAll()).toHaveLength(MAX_CONCURRENT_RUNS);
  });
});
