import { describe, expect, it } from 'vitest';
import type { CancelTarget } from '#contracts';
import { MEMORY_LIMITS } from '../runner/lane-runner-options.js';
import { cancelOrder, decisionsOf, setUpProcess, type ProcessOptions } from './lane-process.fixture.js';
import { MemoryInbox, rawMessage, sessionKey, settled } from './lane-runner.fixture.js';
import { setUpSession } from './lane-strategies.fixture.js';

/** Session a has messages 1 to `count`, each of a thread of its own, so that each is a turn. `inbox.gate` holds reads up. */
async function hot(count: number, options: ProcessOptions = {}) {
  const gate: { shut?: Promise<void> } = {};
  const inbox = new MemoryInbox(async () => gate.shut);
  const process = setUpProcess({ laneBuffer: 4, inbox, ...options });
  const receive = (seq: number, body: object | string = { thread: `t${seq}` }): void =>
    process.runner.receive(sessionKey('a'), rawMessage(seq, body));
  for (let seq = 1; seq <= count; seq++) receive(seq);
  await settled();
  const cancel = (seq: number, target: CancelTarget) => process.receive('a', seq, cancelOrder(target));
  const endAll = async (): Promise<void> => {
    for (let left = 1_000; left > 0 && process.turns.active.has('a'); left--) await process.end('a');
  };
  const shutInbox = (): (() => void) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gate.shut = promise;
    return () => {
      delete gate.shut;
      resolve();
    };
  };
  return {
    ...process,
    inbox,
    arrive: receive,
    cancel,
    endAll,
    shutInbox,
    decisions: () => decisionsOf(process.records.of('a')),
  };
}

const handled = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => [from + i, 'handled'] as const);

it('L6 a turn that needs a reading while another one is under way waits for that, and the process goes on', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const inbox = new MemoryInbox(() => promise);
  const { sendAll, closed, open, end, batches } = setUpSession({ strategy: 'drop' }, { inbox, laneBuffer: 1 });
  await sendAll(1);
  closed.add('write');
  // The note that drops 2 is under way, so that 3 is not kept; then it is looked at, to be dropped too.
  await sendAll(2, 3);
  await open();
  expect(inbox.reads).toEqual([[3]]);
  // Now no turn runs any more, and 3 may run.
  await end('a');
  expect(inbox.reads).toEqual([[3]]);
  resolve();
  await settled();
  await settled();
  expect(batches()).toEqual([[1], [3]]);
});

describe('a long backlog', () => {
  it('keeps a few messages as a whole, and each is handled once and in order all the same (L2)', async () => {
    const { runner, inbox, endAll, decisions, answer, records } = await hot(200);
    expect([answer().depth, runner.memory.waitingBytes]).toEqual([
      199,
      rawMessage(2, { thread: 't2' }).data.length * 3,
    ]);
    await endAll();
    expect(decisions()).toEqual(handled(1, 200));
    expect(records.head('a').head).toMatchObject({ upto: 200, done: [] });
    expect(inbox.reads.flat()).toEqual([...new Set(inbox.reads.flat())]);
    expect([runner.memory.waitingBytes, answer().depth]).toEqual([0, 0]);
  });

  it('of large messages is read in parts, also when the budget of all lanes is spent', async () => {
    const text = 'x'.repeat(100_000);
    const inbox = new MemoryInbox();
    const process = setUpProcess({ inbox, laneBuffer: 50, memory: { ...MEMORY_LIMITS, bodyBytes: 150_000 } });
    for (let seq = 1; seq <= 8; seq++)
      process.runner.receive(sessionKey('a'), rawMessage(seq, { text, thread: `t${seq}` }));
    await settled();
    let most = 0;
    while (process.turns.active.has('a')) {
      await process.end('a');
      most = Math.max(most, process.runner.memory.waitingBytes);
    }
    expect(decisionsOf(process.records.of('a'))).toEqual(handled(1, 8));
    expect(most).toBeLessThan(1_100_000);
  });

  it('loses a message that is gone from the inbox, and nothing else', async () => {
    const { inbox, endAll, decisions, records } = await hot(10);
    inbox.remove('a', 7);
    await endAll();
    expect(decisions()).toEqual([...handled(1, 6), ...handled(8, 10)]);
    expect(records.head('a').head).toMatchObject({ upto: 10, done: [] });
  });

  it('rejects what cannot be read in its turn', async () => {
    const { arrive, endAll, decisions, records } = await hot(6);
    for (const seq of [7, 8]) arrive(seq, 'rubbish');
    arrive(9);
    await settled();
    await endAll();
    expect(decisions().toSorted(([a], [b]) => Number(a) - Number(b))).toEqual([
      ...handled(1, 6),
      [7, 'rejected'],
      [8, 'rejected'],
      [9, 'handled'],
    ]);
    expect(records.head('a').head).toMatchObject({ upto: 9, done: [] });
  });

  it('of nothing but rubbish is rejected to its end', async () => {
    const { arrive, records, decisions } = await hot(0);
    for (let seq = 1; seq <= 20; seq++) arrive(seq, 'rubbish');
    await settled();
    await settled();
    expect(decisions().map(([, decision]) => decision)).toEqual(Array.from({ length: 20 }, () => 'rejected'));
    expect(records.head('a').head).toMatchObject({ upto: 20, done: [] });
  });

  it('whose turns fail keeps their batches, and the next ones come after them', async () => {
    const { fail, end, clock, decisions, started } = await hot(12);
    for (let seq = 1; seq <= 12; seq++) {
      await fail('a');
      await clock.advance(2_000);
      await end('a');
    }
    expect(decisions()).toEqual(handled(1, 12));
    expect(started('a').map(({ seqs, attempt }) => [...seqs, attempt])).toEqual(
      Array.from({ length: 12 }, (_, i) => [
        [i + 1, 1],
        [i + 1, 2],
      ]).flat(),
    );
  });

  it('is read for its next turn beside other sessions, which do not wait for it (L5)', async () => {
    const { shutInbox, end, receive, turns, endAll, decisions } = await hot(10, { laneBuffer: 1 });
    const openInbox = shutInbox();
    await end('a');
    expect([...turns.active.keys()]).toEqual([]);
    await receive('b', 11);
    expect([...turns.active.keys()]).toEqual(['b']);
    openInbox();
    await settled();
    await endAll();
    expect(decisions()).toEqual(handled(1, 10));
  });

  it('goes on after a note that was written while it was read', async () => {
    const { shutInbox, end, arrive, turns, closed, open, endAll, decisions } = await hot(3, { laneBuffer: 1 });
    const openInbox = shutInbox();
    await end('a');
    closed.add('write');
    arrive(4, cancelOrder({ what: 'message', seq: 1 }));
    await settled();
    openInbox();
    await settled();
    expect([...turns.active.keys()]).toEqual([]);
    await open();
    await settled();
    await endAll();
    expect(decisions().toSorted(([a], [b]) => Number(a) - Number(b))).toEqual(handled(1, 4));
  });
});

describe('an order', () => {
  it('cancels one message far behind, and reads nothing but that', async () => {
    const { cancel, inbox, decisions, endAll } = await hot(100);
    await cancel(101, { what: 'message', seq: 90 });
    expect([inbox.reads, decisions()]).toEqual([
      [[90]],
      [
        [90, 'cancelled'],
        [101, 'handled'],
      ],
    ]);
    await endAll();
    expect(decisions().slice(2)).toEqual([...handled(1, 89), ...handled(91, 100)]);
  });

  it('cancels a whole session, its last message too, and keeps no more of it than before', async () => {
    const { cancel, decisions, turns, records, runner, arrive, end } = await hot(1_200);
    arrive(1_201, 'rubbish');
    await cancel(1_202, { what: 'session' });
    for (let i = 0; i < 20; i++) await settled();
    expect(turns.active.get('a')?.signal.aborted).toBe(true);
    await end('a');
    const decided = new Map(decisions() as [number, string][]);
    expect([decided.size, decided.get(1), decided.get(1_200), decided.get(1_201), decided.get(1_202)]).toEqual([
      1_202,
      'cancelled',
      'cancelled',
      'rejected',
      'handled',
    ]);
    expect(records.head('a').head).toMatchObject({ upto: 1_202, done: [] });
    expect(runner.memory.waitingBytes).toBe(0);
  });

  it('about a message that is gone is done', async () => {
    const { cancel, inbox, decisions } = await hot(10);
    inbox.remove('a', 9);
    await cancel(11, { what: 'message', seq: 9 });
    expect(decisions()).toEqual([[11, 'handled']]);
  });

  it('cancels the whole run of a retry whose messages have to be read again', async () => {
    const first = setUpProcess();
    const { records, clock } = first;
    for (let seq = 1; seq <= 3; seq++) first.runner.receive(sessionKey('a'), rawMessage(seq));
    await settled();
    // The three of them are one batch of the next attempt.
    const { runId } = first.turn('a').batch;
    await first.fail('a');
    const seqs = records.head('a').head.run?.seqs;
    const second = setUpProcess({ records, clock, laneBuffer: 1 });
    for (let seq = 1; seq <= 3; seq++) await second.receive('a', seq);
    await second.receive('a', 4, cancelOrder({ what: 'run', runId }));
    await settled();
    expect(decisionsOf(records.of('a'))).toEqual([...(seqs ?? []).map((seq) => [seq, 'cancelled']), [4, 'handled']]);
    await clock.runOut();
  });
});

describe('a lane with nothing to do', () => {
  const memory = { ...MEMORY_LIMITS, idleLanes: 2, idleMs: 1_000 };

  it('is forgotten when there are too many, and comes back with its state', async () => {
    const { receive, turn, end, runner, records } = setUpProcess({ memory });
    await receive('a', 1);
    turn('a').end({ state: { value: { count: 1 } } });
    await settled();
    for (const [i, session] of ['b', 'c', 'd'].entries()) {
      await receive(session, i + 2);
      await end(session);
    }
    expect(runner.memory).toEqual({ lanes: 2, waitingBytes: 0 });
    await receive('a', 5);
    expect(turn('a')).toMatchObject({ seqs: [5], state: { count: 1 }, batch: { attempt: 1 } });
    await end('a');
    expect(records.head('a').head).toMatchObject({ upto: 5, done: [] });
  });

  it('is forgotten after a while, when the runner is told to', async () => {
    const { receive, end, runner, clock } = setUpProcess({ memory });
    await receive('a', 1);
    await end('a');
    runner.forgetIdle();
    expect(runner.memory.lanes).toBe(1);
    await clock.advance(1_000);
    runner.forgetIdle();
    expect(runner.memory.lanes).toBe(0);
    expect(runner.progress(0)).toMatchObject({ read: 1, open: [] });
  });

  it('is not forgotten while anything of it runs, waits, or is on its way', async () => {
    const { receive, end, fail, runner, clock, turns } = setUpProcess({
      memory: { ...memory, idleLanes: 0 },
      capacity: 1,
    });
    await receive('a', 1);
    await receive('b', 2);
    expect(runner.memory.lanes).toBe(2);
    await fail('a');
    expect([runner.memory.lanes, [...turns.active.keys()]]).toEqual([2, ['b']]);
    await end('b');
    expect(runner.memory.lanes).toBe(1);
    await clock.advance(2_000);
    await end('a');
    expect(runner.memory.lanes).toBe(0);
  });

  it('that stood in the queue for a slot and lost its message does not come back beside its successor', async () => {
    const { receive, end, turns, records, runner } = setUpProcess({ memory: { ...memory, idleLanes: 0 }, capacity: 1 });
    await receive('b', 1);
    await receive('a', 2);
    await receive('a', 3, cancelOrder({ what: 'session' }));
    await receive('a', 4);
    await receive('a', 5, cancelOrder({ what: 'session' }));
    await end('b');
    await receive('a', 6);
    expect([...turns.active.keys()]).toEqual(['a']);
    await end('a');
    expect(decisionsOf(records.of('a'))).toEqual([
      [2, 'cancelled'],
      [3, 'handled'],
      [4, 'cancelled'],
      [5, 'handled'],
      [6, 'handled'],
    ]);
    expect(runner.memory.lanes).toBe(0);
  });
});
