import { describe, expect, it } from 'vitest';
import { cancelOrder } from './lane-process.fixture.js';
import { rawMessage, sessionKey, settled } from './lane-runner.fixture.js';
import { setUpSession } from './lane-strategies.fixture.js';
import { MAX_PARALLEL_RUNS } from './parallel-runs.js';

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

  it('L6 tries a failed one again by itself, and keeps nobody else waiting for it', async () => {
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
    expect(last()?.state).toEqual(['two', 'one']);
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

  it('has no more than so many in work, whatever the setting', async () => {
    const { sendAll, runningAll } = setUpSession(CONCURRENT, { capacity: 1_000 });
    await sendAll(...Array.from({ length: MAX_PARALLEL_RUNS + 3 }, (_, i) => i + 1));
    expect(runningAll()).toHaveLength(MAX_PARALLEL_RUNS);
  });
});

describe('concurrent turns whose worker is gone', () => {
  const crashed = async (readAtOnce = false) => {
    const first = setUpSession({ ...CONCURRENT, maxConcurrent: 2 });
    await first.sendAll(1, 2, 3);
    first.kill();
    const { records, clock } = first;
    const second = setUpSession(
      { ...CONCURRENT, maxConcurrent: 2 },
      { records, clock, isRecovery: true, crashedUpTo: 3 },
    );
    if (readAtOnce) for (const seq of [1, 2]) second.runner.receive(sessionKey('a'), rawMessage(seq));
    await second.sendAll(...(readAtOnce ? [3] : [1, 2, 3]));
    second.runner.caughtUp(0);
    return second;
  };

  it('L4 run again behind one note that fences it and counts the crash of each; what only waited is not blamed', async () => {
    const { records, runningAll, turns, end } = await crashed();
    expect(runningAll()).toEqual([1, 2]);
    const counted = records
      .of('a')
      .at(-1)
      ?.runs?.map(({ seqs, attempt, crashes }) => [seqs, attempt, crashes]);
    expect(counted).toEqual([
      [[1], 2, 1],
      [[2], 2, 1],
    ]);
    await end(place(1));
    expect(turns.started.at(-1)?.batch).toMatchObject({ attempt: 1, crashes: 0, items: [{ seq: 3 }] });
  });

  it('run again all at once, though one note is for all of them', async () => {
    const { records, runningAll } = await crashed(true);
    expect(runningAll().toSorted()).toEqual([1, 2]);
    expect(records.of('a')).toHaveLength(1);
  });

  it('are waited for by the next owner until the last of them has its record', async () => {
    const holder = setUpSession(CONCURRENT, { worker: 'old' });
    await holder.sendAll(1, 2);
    const { records, clock } = holder;
    const next = setUpSession(CONCURRENT, { records, clock, worker: 'new', from: await holder.runner.releaseShard(0) });
    await next.sendAll(1, 2, 3);
    await holder.end(place(2));
    expect(records.of('a').at(-1)).toMatchObject({ done: [[2, 2]], holder: 'old' });
    await clock.advance(5_000);
    expect([next.batches(), next.runner.describe(sessionKey('a')).state]).toEqual([[], 'held']);
    await holder.fail(place(1));
    expect(records.of('a').at(-1)?.holder).toBeUndefined();
    await clock.advance(2_000);
    expect(next.runningAll()).toEqual([3, 1]);
    expect(next.turns.started.map(({ batch }) => [batch.attempt, batch.failures])).toEqual([
      [1, 0],
      [2, 1],
    ]);
  });

  it('are handed back one after another when the worker stops', async () => {
    const { sendAll, runner, records } = setUpSession(CONCURRENT);
    await sendAll(1, 2, 3);
    await runner.releaseShard(0);
    await runner.work.handBackAll();
    expect(records.of('a').map(({ runs, holder }) => [runs?.length, holder])).toEqual([
      [1, 'w/1'],
      [2, 'w/1'],
      [3, undefined],
    ]);
  });
});
