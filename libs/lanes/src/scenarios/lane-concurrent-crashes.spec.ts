import { describe, expect, it } from 'vitest';
import { cancelOrder } from './lane-process.fixture.js';
import { ManualTurns, MemoryRecords, rawMessage, sessionKey, settled } from './lane-runner.fixture.js';
import { setUpSession } from './lane-strategies.fixture.js';

const CONCURRENT = { strategy: 'concurrent' } as const;
const place = (seq: number): string => `a/${seq}`;

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

  it('are told to run again, each once', async () => {
    const { events } = await crashed(true);
    const told = events.flatMap((event) => (event.type === 'turn-retrying' ? [[event.runId, event.concurrent]] : []));
    expect(told.map(([, concurrent]) => concurrent)).toEqual([true, true]);
    expect(new Set(told.map(([runId]) => runId)).size).toBe(2);
  });

  it('are cancelled by an order that came before the crash', async () => {
    const first = setUpSession(CONCURRENT);
    await first.send(1);
    const { runId } = first.turns.started[0]?.batch ?? { runId: '' };
    first.kill();
    const { records, clock } = first;
    const second = setUpSession(CONCURRENT, { records, clock, isRecovery: true, crashedUpTo: 1 });
    second.runner.receive(sessionKey('a'), rawMessage(1));
    await second.send(2, cancelOrder({ what: 'run', runId }));
    second.runner.caughtUp(0);
    await settled();
    expect(second.decisions()).toEqual([
      [1, 'cancelled'],
      [2, 'handled'],
    ]);
  });

  it('L4 are fenced before anything fresh begins, though they wait for the quarantine', async () => {
    const records = new MemoryRecords();
    const note = { v: 1, kind: 'note', worker: 'x/1', upto: 0, done: [], run: null, nextSequence: null };
    const empty = { ...note, children: {}, relayed: {}, messages: [] };
    const poisonous = { runId: 'main.b.1.0000000000', seqs: [1], attempt: 3, crashes: 2 };
    const cut = { runId: 'main.a.2.0000000000', seqs: [2], attempt: 2, crashes: 1, notBefore: 1 };
    records.write('b', JSON.stringify({ ...empty, commitId: 'b', run: poisonous }), 0);
    records.write('a', JSON.stringify({ ...empty, commitId: 'a', runs: [cut] }), 0);
    const limits = { ...CONCURRENT, maxConcurrent: 1 };
    const { receive, runner, turns } = setUpSession(limits, { records, isRecovery: true, crashedUpTo: 9 });
    await receive('b', 1, { strategy: 'fifo' });
    for (const seq of [2, 3]) runner.receive(sessionKey('a'), rawMessage(seq));
    await settled();
    runner.caughtUp(0);
    await settled();
    expect(
      records
        .of('a')
        .at(-1)
        ?.runs?.map(({ seqs, crashes }) => [seqs, crashes]),
    ).toEqual([
      [[2], 2],
      [[3], 1],
    ]);
    expect(turns.of('a').map(({ seqs, batch }) => [seqs, batch.attempt])).toEqual([[[3], 2]]);
  });

  it('L4 are fenced before a retry begins that was only waiting: else a former owner that goes on undoes its record', async () => {
    const limits = { ...CONCURRENT, maxConcurrent: 2 };
    const first = setUpSession(limits);
    await first.sendAll(1, 2);
    await first.fail(place(1));
    first.kill();
    const { records, clock } = first;
    const lastBy: unknown[] = [];
    const turns = new ManualTurns(() => lastBy.push(records.of('a').at(-1)?.worker));
    const taking = { records, clock, turns, worker: 'new', isRecovery: true, crashedUpTo: 2 };
    const second = setUpSession(limits, taking);
    await second.send(1);
    // By the time at which everything was read the retry is due.
    await clock.advance(10_000);
    await second.send(2);
    second.runner.caughtUp(0);
    await settled();
    expect(second.runningAll().toSorted()).toEqual([1, 2]);
    expect(lastBy).toEqual(['new', 'new']);
  });

  it('do not blame a message that came after the former owner was given up', async () => {
    let isGone = false;
    const formerOwners = { isGone: () => Promise.resolve(isGone), passCancel: () => {} };
    const first = setUpSession(CONCURRENT, { worker: 'w/1' });
    await first.sendAll(1);
    const from = await first.runner.releaseShard(0);
    const { records, clock } = first;
    const second = setUpSession(CONCURRENT, { records, clock, from, worker: 'w/2', isRecovery: true, formerOwners });
    await second.sendAll(1);
    first.kill();
    isGone = true;
    await clock.advance(1_100);
    second.runner.caughtUp(0);
    await second.sendAll(2, 3);
    expect(second.turns.started.map(({ batch }) => batch.attempt)).toEqual([2, 1, 1]);
  });
});
