import { describe, expect, it } from 'vitest';
import { type CancelTarget, MAX_RECORD_MESSAGES } from '#contracts';
import { cancelOrder, decisionsOf, setUpProcess, type ProcessOptions } from './lane-process.fixture.js';
import { rawMessage, sessionKey, settled } from './lane-runner.fixture.js';

const WHOLE_SESSION: CancelTarget = { what: 'session' };

/** A process whose turn of session a has messages 1 to `batch`. */
async function running(batch = 1, options: ProcessOptions = {}) {
  const process = setUpProcess(options);
  for (let seq = 1; seq <= batch; seq++) process.runner.receive(sessionKey('a'), rawMessage(seq));
  await settled();
  const { runId } = process.turn('a').batch;
  const cancel = (seq: number, target: CancelTarget): Promise<void> => process.receive('a', seq, cancelOrder(target));
  return { ...process, runId, cancel, decisions: () => decisionsOf(process.records.of('a')) };
}

describe('a session', () => {
  it('loses what waits at once, then its turn, and the order is decided last; what came behind it is not touched', async () => {
    const { records, receive, cancel, turn, end, decisions, runner } = await running();
    const { signal } = turn('a');
    for (const seq of [2, 3]) await receive('a', seq);
    await cancel(4, WHOLE_SESSION);
    expect(records.of('a')).toMatchObject([{ kind: 'note', messages: [{ seq: 2 }, { seq: 3 }] }]);
    expect(signal.reason).toMatchObject({ name: 'TurnCancelledError' });
    await receive('a', 5);
    expect(records.writes).toBe(1);
    // It answers all the same, too late to count.
    turn('a').end({ replies: [{ kind: 'reply', text: 'late' }], state: { value: 'late' } });
    await settled();
    expect(records.of('a')[1]).toMatchObject({ kind: 'turn', status: 'cancelled', sends: [], attempt: 1, run: null });
    expect(decisions()).toEqual([
      [2, 'cancelled'],
      [3, 'cancelled'],
      [1, 'cancelled'],
      [4, 'handled'],
    ]);
    expect(turn('a')).toMatchObject({ seqs: [5], state: undefined, batch: { attempt: 1 } });
    await end('a');
    expect(records.head('a').head).toMatchObject({ upto: 5, done: [], run: null });
    expect([records.buried, runner.discarded, runner.leaked]).toEqual([[], 0, 0]);
  });

  it('that waits for a slot takes none any more', async () => {
    const { receive, end, turns, records } = await running(1, { capacity: 1 });
    for (const [i, session] of ['b', 'b', 'c'].entries()) await receive(session, i + 2);
    await receive('b', 5, cancelOrder(WHOLE_SESSION));
    expect(decisionsOf(records.of('b'))).toEqual([
      [2, 'cancelled'],
      [3, 'cancelled'],
      [5, 'handled'],
    ]);
    expect(records.of('b').length).toBe(1);
    await end('a');
    expect([...turns.active.keys()]).toEqual(['c']);
  });

  it('L5 that waits for one again is behind those that came before its next message', async () => {
    const { receive, end, started } = setUpProcess({ capacity: 1 });
    for (const [i, session] of ['busy', 'a', 'b'].entries()) await receive(session, i + 1);
    await receive('a', 4, cancelOrder({ what: 'session' }));
    await receive('a', 5);
    await end('busy');
    expect([started('a').length, started('b').length]).toEqual([0, 1]);
    await end('b');
    expect(started('a').map(({ seqs }) => seqs)).toEqual([[5]]);
  });

  it('that is ordered to before its head is read starts nothing of what the order means', async () => {
    const { runner, records, turns, open, closed, receive } = setUpProcess();
    closed.add('head');
    for (const seq of [1, 2]) await receive('a', seq);
    await receive('a', 3, cancelOrder(WHOLE_SESSION));
    await receive('a', 4);
    await open();
    expect(turns.started.map(({ seqs }) => seqs)).toEqual([[4]]);
    expect(decisionsOf(records.of('a')).length).toBe(3);
    expect(runner.running).toBe(1);
  });

  it('begins nothing between two records of its order, whenever a slot becomes free', async () => {
    for (let ticks = 0; ticks < 40; ticks++) {
      const { runner, store, receive, turn, started } = await running(1, { capacity: 1 });
      for (let seq = 2; seq <= 900; seq++) runner.receive(sessionKey('b'), rawMessage(seq));
      await settled();
      const gate = Promise.withResolvers<void>();
      const write = store.write.bind(store);
      store.write = async (key, ...args) => {
        if (key.sessionToken === 'b') await gate.promise;
        return write(key, ...args);
      };
      await receive('b', 901, cancelOrder(WHOLE_SESSION));
      turn('a').end();
      for (let i = 0; i < ticks; i++) await Promise.resolve();
      gate.resolve();
      await settled();
      expect([started('b'), runner.running]).toEqual([[], 0]);
    }
  });

  it('of any length is cancelled in records of a bounded size, all before the order', async () => {
    const { runner, records, cancel, decisions, end } = await running();
    const count = 2 * MAX_RECORD_MESSAGES + 200;
    for (let seq = 2; seq <= count; seq++) runner.receive(sessionKey('a'), rawMessage(seq));
    await cancel(count + 1, WHOLE_SESSION);
    await end('a');
    const sizes = records.of('a').map(({ messages }) => messages.length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(MAX_RECORD_MESSAGES);
    expect(sizes.slice(-2)).toEqual([1, 1]);
    expect(decisions().length).toBe(count + 1);
    expect(decisions().at(-1)).toEqual([count + 1, 'handled']);
    expect(records.head('a').head).toMatchObject({ upto: count + 1, done: [] });
  });
});

describe('a message', () => {
  it('that waits is cancelled, and the turn goes on', async () => {
    const { receive, cancel, turn, end, decisions } = await running();
    const { signal } = turn('a');
    for (const seq of [2, 3]) await receive('a', seq);
    await cancel(4, { what: 'message', seq: 2 });
    expect([signal.aborted, decisions()]).toEqual([
      false,
      [
        [2, 'cancelled'],
        [4, 'handled'],
      ],
    ]);
    await end('a');
    expect(turn('a').seqs).toEqual([3]);
  });

  it('L7 of a running batch is cancelled alone; the others run again, as another run', async () => {
    const { records, cancel, turn, end, decisions, runId } = await running(3);
    await cancel(4, { what: 'message', seq: 2 });
    expect([turn('a').signal.aborted, records.writes]).toEqual([true, 0]);
    await end('a');
    expect(records.of('a')).toMatchObject([
      { kind: 'turn', runId, status: 'cancelled', messages: [{ seq: 2 }], upto: 0, done: [[2, 2]], run: null },
      { kind: 'note', messages: [{ seq: 4 }] },
    ]);
    expect(turn('a')).toMatchObject({ seqs: [1, 3], batch: { attempt: 1, failures: 0 } });
    expect(turn('a').batch.runId).not.toBe(runId);
    await end('a');
    expect(decisions().slice(2)).toEqual([
      [1, 'handled'],
      [3, 'handled'],
    ]);
    expect(records.head('a').head).toMatchObject({ upto: 4, done: [] });
  });

  it('and another of the same batch, by two orders, are both cancelled, one order after the other', async () => {
    const { cancel, turn, end, decisions } = await running(3);
    await cancel(4, { what: 'message', seq: 1 });
    await cancel(5, { what: 'message', seq: 3 });
    await end('a');
    expect(decisions()).toEqual([
      [1, 'cancelled'],
      [4, 'handled'],
      [3, 'cancelled'],
      [5, 'handled'],
    ]);
    expect(turn('a').seqs).toEqual([2]);
  });

  it('L7 of a batch in its backoff is cancelled at once, and the others do not wait for a run that is no more', async () => {
    const { records, cancel, turn, fail, runId } = await running(2);
    await fail('a');
    await cancel(3, { what: 'message', seq: 1 });
    expect(records.of('a').at(-1)).toMatchObject({
      kind: 'note',
      messages: [
        { seq: 1, decision: 'cancelled' },
        { seq: 3, decision: 'handled' },
      ],
      run: null,
    });
    expect(turn('a')).toMatchObject({ seqs: [2], batch: { attempt: 1 } });
    expect(turn('a').batch.runId).not.toBe(runId);
  });

  it('behind a batch in its backoff is cancelled, and the retry keeps its run and its time', async () => {
    const { clock, records, receive, cancel, fail, started, runId } = await running();
    await fail('a');
    await receive('a', 2);
    await cancel(3, { what: 'message', seq: 2 });
    expect(records.of('a').at(-1)?.run).toMatchObject({ runId, attempt: 2, failures: 1, notBefore: 2_000 });
    await clock.advance(999);
    expect(started('a').length).toBe(1);
    await clock.advance(1);
    expect(started('a').at(-1)).toEqual({ seqs: [1], runId, attempt: 2 });
  });
});

describe('a run', () => {
  it('that is running is cancelled, and not what waits behind it', async () => {
    const { receive, cancel, turn, end, decisions, runId } = await running(2);
    await receive('a', 3);
    await cancel(4, { what: 'run', runId });
    await end('a');
    expect(decisions()).toEqual([
      [1, 'cancelled'],
      [2, 'cancelled'],
      [4, 'handled'],
    ]);
    expect(turn('a').seqs).toEqual([3]);
  });

  it('that waits for its next attempt is cancelled at once, not at its time', async () => {
    const { clock, records, cancel, fail, decisions, answer, started, runId } = await running(2);
    await fail('a');
    await cancel(3, { what: 'run', runId });
    expect(decisions()).toEqual([
      [1, 'cancelled'],
      [2, 'cancelled'],
      [3, 'handled'],
    ]);
    // The agent had them: their ids are not free again.
    const reasons = records.of('a').flatMap(({ messages }) => messages.map(({ reason }) => reason));
    expect(reasons).toEqual(['between-attempts', 'between-attempts', undefined]);
    expect(records.head('a').head).toMatchObject({ upto: 3, done: [], run: null });
    expect(answer()).toMatchObject({ state: 'idle', depth: 0 });
    const now = clock.now();
    await clock.runOut();
    expect([started('a').length, clock.now()]).toEqual([1, now]);
  });

  it('that timed out, and has not stopped yet, is cancelled instead of its next attempt', async () => {
    const { clock, cancel, end, decisions, records, runId } = await running();
    await clock.advance(10_100);
    await cancel(2, { what: 'run', runId });
    await end('a');
    expect(records.of('a')[0]).toMatchObject({ kind: 'note', run: { attempt: 2, failures: 1 } });
    expect(decisions()).toEqual([
      [1, 'cancelled'],
      [2, 'handled'],
    ]);
  });
});

describe('an order', () => {
  it.each<[string, CancelTarget]>([
    ['a message that does not exist', { what: 'message', seq: 77 }],
    ['a message that is decided', { what: 'message', seq: 1 }],
    ['a message that came behind it', { what: 'message', seq: 6 }],
    ['a run that has ended, or never was', { what: 'run', runId: 'main.a.1.0000000000' }],
  ])('for %s is decided, and stops nothing', async (_title, target) => {
    const { receive, cancel, turn, end, decisions } = await running();
    await end('a');
    for (const seq of [2, 3]) await receive('a', seq);
    await cancel(5, target);
    await receive('a', 6);
    expect(decisions()).toEqual([
      [1, 'handled'],
      [5, 'handled'],
    ]);
    expect(turn('a').signal.aborted).toBe(false);
    await end('a');
    await end('a');
    expect(decisions().at(-1)).toEqual([6, 'handled']);
  });

  it('to a session that has nothing is decided, and no turn sees it', async () => {
    const { records, turns, receive } = setUpProcess();
    await receive('a', 1, cancelOrder(WHOLE_SESSION));
    expect([turns.started, decisionsOf(records.of('a'))]).toEqual([[], [[1, 'handled']]]);
    expect(records.head('a').head).toMatchObject({ upto: 1, done: [] });
  });

  it('L1 comes too late for a turn whose result is on its way', async () => {
    const { clock, records, cancel, turn, end, closed, open, decisions } = await running();
    const { signal } = turn('a');
    closed.add('write');
    await end('a');
    await cancel(2, WHOLE_SESSION);
    expect(records.writes).toBe(0);
    await open();
    expect(records.of('a')[0]).toMatchObject({ status: 'succeeded' });
    expect(decisions()).toEqual([
      [1, 'handled'],
      [2, 'handled'],
    ]);
    expect(signal.aborted).toBe(false);
    const now = clock.now();
    await clock.runOut();
    expect(clock.now()).toBe(now);
  });

  it('from another worker that comes too late has no effect, and leaves no timer', async () => {
    const { clock, runner, turn, end, closed, open, decisions } = await running();
    const { signal } = turn('a');
    closed.add('write');
    await end('a');
    void runner.releaseShard(0);
    runner.work.cancelInHandoff(sessionKey('a'), WHOLE_SESSION);
    await open();
    const now = clock.now();
    await clock.runOut();
    expect([signal.aborted, clock.now(), decisions()]).toEqual([false, now, [[1, 'handled']]]);
  });

  it('L6 waits for a handler that ignores its abort as long as the grace, and no longer', async () => {
    const { clock, runner, turns, cancel, decisions, receive, turn } = await running();
    const leaked = turn('a');
    await cancel(2, WHOLE_SESSION);
    await receive('a', 3);
    await clock.advance(199);
    expect([decisions(), runner.leaked]).toEqual([[], 0]);
    await clock.advance(1);
    await settled();
    expect([decisions(), runner.leaked]).toEqual([
      [
        [1, 'cancelled'],
        [2, 'handled'],
      ],
      1,
    ]);
    leaked.end();
    await settled();
    expect([turns.active.get('a')?.seqs, decisions().length]).toEqual([[3], 2]);
  });

  it('that is repeated while the turn stops does not give it more time', async () => {
    const { clock, cancel, decisions } = await running();
    await cancel(2, WHOLE_SESSION);
    await clock.advance(150);
    await cancel(3, WHOLE_SESSION);
    await clock.advance(50);
    await settled();
    expect(decisions()).toEqual([
      [1, 'cancelled'],
      [2, 'handled'],
      [3, 'handled'],
    ]);
  });

  it.each([0, 1, 2])(
    'L1 L3 survives a crash behind its record %i: what it means is cancelled once, and runs no more',
    async (count) => {
      const first = await running();
      const { records, clock } = first;
      await clock.advance(60);
      for (const seq of [2, 3]) await first.receive('a', seq);
      const write = records.write.bind(records);
      records.write = (...args) => (records.of('a').length >= count ? { kind: 'abandoned' } : write(...args));
      await first.cancel(4, WHOLE_SESSION);
      first.turn('a').end();
      await settled();
      first.kill();
      records.write = write;
      expect(records.of('a').length).toBe(count);

      const second = setUpProcess({ records, clock, isRecovery: true, crashedUpTo: 4 });
      for (const seq of [1, 2, 3]) second.runner.receive(sessionKey('a'), rawMessage(seq));
      second.runner.receive(sessionKey('a'), rawMessage(4, cancelOrder(WHOLE_SESSION)));
      await settled();
      await second.receive('a', 5);
      expect(second.turns.started.map(({ seqs, batch }) => [seqs, batch.attempt])).toEqual([[[5], 1]]);
      const decided = decisionsOf(records.of('a'));
      expect(decided.at(-1)).toEqual([4, 'handled']);
      expect(decided.toSorted()).toEqual([
        [1, 'cancelled'],
        [2, 'cancelled'],
        [3, 'cancelled'],
        [4, 'handled'],
      ]);
    },
  );

  it('L4 that comes while the note of a takeover is on its way finds the run before it begins', async () => {
    const first = await running();
    const { records, clock, runId } = first;
    await clock.advance(60);
    first.kill();
    const second = setUpProcess({ records, clock, isRecovery: true });
    second.closed.add('write');
    await second.receive('a', 1);
    await second.receive('a', 2, cancelOrder({ what: 'run', runId }));
    await second.open();
    expect(second.turns.started).toEqual([]);
    expect(records.of('a')[0]?.run).toMatchObject({ runId, attempt: 2, crashes: 1 });
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'cancelled'],
      [2, 'handled'],
    ]);
  });

  it('L6 does not wait for a message that cannot be read, nor the message for it', async () => {
    const { receive, cancel, decisions, end } = await running();
    await cancel(2, WHOLE_SESSION);
    await receive('a', 3, 'rubbish');
    await end('a');
    expect(decisions()).toEqual([
      [3, 'rejected'],
      [1, 'cancelled'],
      [2, 'handled'],
    ]);
  });
});
