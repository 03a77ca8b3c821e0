import { describe, expect, it } from 'vitest';
import { jsonText } from '#contracts';
import { cancelOrder, RETRY_POLICY } from './lane-process.fixture.js';
import { settled, type StartedTurn } from './lane-runner.fixture.js';
import { REFUSAL, setUpTasks, TaskTurns } from './lane-tasks.fixture.js';

const HELD = [{ key: 'k', token: 7 }];

/** The turn of message 1 has failed while it held task k. */
async function failedHolding(options: Parameters<typeof setUpTasks>[1] = {}) {
  const session = setUpTasks({}, { worker: 'A/1', ...options });
  await session.trigger(1);
  session.turns.held.set(session.turn('a').batch.runId, HELD);
  await session.fail('a');
  return session;
}

const next = (session: { last(): unknown }) => session.last() as { run: { tasks?: unknown; attempt: number } | null };

describe('a turn that does not get its task', () => {
  it('ends refused, and its sender is told; nothing failed', async () => {
    const { trigger, turn, last, records, told, turns, send, running } = setUpTasks();
    await trigger(1);
    await send(2);
    turn('a').refuse(REFUSAL);
    await settled();
    const { text, data } = REFUSAL;
    expect(last()).toMatchObject({
      ...{ kind: 'turn', status: 'rejected', attempt: 1, upto: 1, run: null },
      messages: [{ id: 'm1', seq: 1, decision: 'refused', reason: 'approval_required' }],
      sends: [{ kind: 'reply', text, data: jsonText(data) }],
    });
    expect(last()).not.toHaveProperty('error');
    expect([records.buried, told()]).toEqual([[], ['message-queued', 'turn-ended', 'message-dequeued']]);
    expect(turns.heard).toEqual(['ending 1 rejected refused', 'settled 1 ended']);
    expect(running()).toEqual([2]);
  });

  it('says nothing where silence was asked for', async () => {
    const { trigger, turn, last } = setUpTasks({ overflowAction: 'silent' });
    await trigger(1);
    turn('a').refuse(REFUSAL);
    await settled();
    expect(last()).toMatchObject({ status: 'rejected', sends: [] });
  });

  it('may come back later: it costs no attempt', async () => {
    const { trigger, turn, clock, fail, turns } = setUpTasks();
    await trigger(1);
    await fail('a', 'Later', { laterMs: 500 });
    await clock.advance(625);
    expect(turn('a').batch).toMatchObject({ attempt: 1, failures: 0, task: { key: 'k' } });
    expect(turns.heard).toEqual(['settled 1 again']);
  });
});

describe('what a run holds between its attempts', () => {
  it('stands in the note of the next one, and the next one has it', async () => {
    const session = await failedHolding();
    const { clock, turn, turns, end, last } = session;
    expect(next(session).run).toMatchObject({ attempt: 2, tasks: HELD });
    await clock.advance(1_000);
    expect(turn('a').batch).toMatchObject({ attempt: 2, tasks: HELD });
    await end('a');
    expect(last()).toMatchObject({ run: null });
    expect(turns.heard).toEqual(['settled 1 again', 'ending 1 succeeded handled', 'settled 1 ended']);
  });

  it('is not told twice when nothing is held any more', async () => {
    const session = await failedHolding();
    await session.clock.advance(1_000);
    session.turns.held.clear();
    await session.fail('a');
    expect(next(session).run).toMatchObject({ attempt: 3 });
    expect(next(session).run).not.toHaveProperty('tasks');
  });

  it('survives other records of the session, and a clean handover', async () => {
    const a = await failedHolding();
    await a.send(2);
    await a.send(3, cancelOrder({ what: 'message', seq: 2 }));
    await a.send(4, 'rubbish');
    expect(a.decisions().length).toBe(3);
    expect(next(a).run).toMatchObject({ attempt: 2, tasks: HELD });
    const from = await a.runner.releaseShard(0);
    expect(a.turns.heard).toEqual(['settled 1 again', 'settled 1 again-elsewhere']);
    const b = setUpTasks({}, { worker: 'B/1', records: a.records, clock: a.clock, from });
    await b.trigger(1);
    await b.send(5, 'rubbish');
    expect(next(b).run).toMatchObject({ attempt: 2, tasks: HELD });
    await a.clock.advance(1_000);
    expect(b.turn('a').batch).toMatchObject({ attempt: 2, tasks: HELD });
  });

  it('goes over to the next owner when the attempt failed at the former one', async () => {
    const a = setUpTasks({}, { worker: 'A/1' });
    await a.trigger(1);
    a.turns.held.set(a.turn('a').batch.runId, HELD);
    const from = await a.runner.releaseShard(0);
    const b = setUpTasks({}, { worker: 'B/1', records: a.records, clock: a.clock, from });
    await b.trigger(1);
    await a.fail('a');
    expect(a.turns.heard).toEqual(['settled 1 again-elsewhere']);
    await a.clock.advance(1_100);
    expect(b.turn('a').batch).toMatchObject({ attempt: 2, tasks: HELD });
  });

  it('belongs to a run beside others as well', async () => {
    const { trigger, turns, clock, last } = setUpTasks({ strategy: 'concurrent' });
    await trigger(1);
    await trigger(2, 'l');
    const [one, two] = turns.of('a') as [StartedTurn, StartedTurn];
    turns.held.set(two.batch.runId, [{ key: 'l', token: 8 }]);
    two.fail('Boom');
    await settled();
    one.end();
    await settled();
    expect(last()).toMatchObject({ runs: [{ seqs: [2], tasks: [{ key: 'l', token: 8 }] }] });
    await clock.advance(1_000);
    expect(turns.of('a')[0]?.batch).toMatchObject({ attempt: 2, tasks: [{ key: 'l', token: 8 }] });
    expect(turns.heard).toEqual(['settled 2 again', 'ending 1 succeeded handled', 'settled 1 ended']);
  });

  it('is let go when its run is cancelled before the next attempt', async () => {
    const session = await failedHolding();
    await session.send(2, cancelOrder({ what: 'session' }));
    expect(session.otherwise()).toEqual({ 1: 'cancelled' });
    expect(session.turns.heard).toEqual(['settled 1 again', 'settled 1 ended']);
  });
});

describe('what a run held is dropped', () => {
  const takenOver = async (a: Awaited<ReturnType<typeof failedHolding>>) => {
    a.kill();
    const b = setUpTasks({}, { worker: 'B/1', records: a.records, clock: a.clock, isRecovery: true });
    await b.trigger(1);
    return b;
  };

  it('with a crash while the next attempt ran', async () => {
    const a = await failedHolding();
    await a.clock.advance(1_000);
    expect(a.turn('a').batch).toMatchObject({ tasks: HELD });
    const b = await takenOver(a);
    expect(b.turn('a').batch).toMatchObject({ attempt: 3, crashes: 1 });
    expect(b.turn('a').batch).not.toHaveProperty('tasks');
    expect(next(b).run).not.toHaveProperty('tasks');
  });

  it('with a crash while the next attempt waited, also in the records that follow', async () => {
    const b = await takenOver(await failedHolding());
    await b.send(2, 'rubbish');
    expect(next(b).run).toMatchObject({ attempt: 2 });
    expect(next(b).run).not.toHaveProperty('tasks');
    await b.clock.advance(1_000);
    expect(b.turn('a').batch).toMatchObject({ attempt: 2, crashes: 0 });
    expect(b.turn('a').batch).not.toHaveProperty('tasks');
  });

  it('with a crash, for the next owner of the shard without a record in between', async () => {
    const b = await takenOver(await failedHolding());
    const from = await b.runner.releaseShard(0);
    expect(b.turns.heard).toEqual([]);
    const c = setUpTasks({}, { worker: 'C/1', records: b.records, clock: b.clock, from });
    await c.trigger(1);
    await c.clock.advance(1_000);
    expect(c.turn('a').batch).not.toHaveProperty('tasks');
  });

  it('with a crash, beside other turns too', async () => {
    const a = setUpTasks({ strategy: 'concurrent' });
    await a.trigger(1);
    a.turns.held.set(a.turn('a/1').batch.runId, HELD);
    a.turn('a/1').fail('Boom');
    await settled();
    a.kill();
    const b = setUpTasks({ strategy: 'concurrent' }, { records: a.records, clock: a.clock, isRecovery: true });
    await b.trigger(1);
    await b.clock.advance(1_000);
    expect(b.turn('a/1').batch).not.toHaveProperty('tasks');
  });

  it('when a holder is gone that said so before', async () => {
    const gone = new Set<string>();
    const formerOwners = { isGone: (who: string) => Promise.resolve(gone.has(who)), passCancel: () => {} };
    const a = await failedHolding();
    await a.clock.advance(1_000);
    const from = await a.runner.releaseShard(0);
    const b = setUpTasks({}, { worker: 'B/1', records: a.records, clock: a.clock, from, formerOwners });
    await b.trigger(1);
    a.kill();
    gone.add('A/1');
    await b.clock.advance(1_200);
    expect(b.turn('a').batch).toMatchObject({ attempt: 3 });
    expect(b.turn('a').batch).not.toHaveProperty('tasks');
  });

  it('at a stop, where the handler may still be at work', async () => {
    const a = setUpTasks({}, { worker: 'A/1' });
    await a.trigger(1);
    a.turns.held.set(a.turn('a').batch.runId, HELD);
    await a.runner.work.handBackAll();
    expect(next(a).run).toMatchObject({ attempt: 2 });
    expect(next(a).run).not.toHaveProperty('tasks');
    expect(a.turns.heard).toEqual(['settled 1 discarded']);
  });

  it('G2 at a stop, and not at all at another worker when its agent is outside: it may go on', async () => {
    const a = setUpTasks({}, { worker: 'A/1' });
    a.turns.isOutside = true;
    await a.trigger(1);
    await a.send(2);
    await a.runner.work.handBackAll();
    expect(next(a)).toMatchObject({ kind: 'turn', status: 'timed_out', run: null, error: { name: 'turn_cut' } });
    expect(a.turns.heard).toEqual(['ending 1 timed_out dead', 'settled 1 ended']);
    expect(a.records.buried).toMatchObject([{ letter: { seq: 1 } }]);
  });

  it('when the handler ignored its abort', async () => {
    const a = setUpTasks();
    await a.send(1);
    a.turns.held.set(a.turn('a').batch.runId, HELD);
    await a.clock.advance(RETRY_POLICY.turnTimeoutMs + RETRY_POLICY.abortGraceMs);
    expect(next(a).run).toMatchObject({ attempt: 2 });
    expect(next(a).run).not.toHaveProperty('tasks');
    expect(a.turns.heard).toEqual(['settled 1 again leaked']);
  });

  it('by the worker that finds the record of a zombie in the place of its own', async () => {
    const a = setUpTasks({}, { worker: 'A/1' });
    await a.trigger(1);
    a.turns.held.set(a.turn('a').batch.runId, HELD);
    const b = setUpTasks({}, { worker: 'B/1', records: a.records, clock: a.clock, isRecovery: true, shut: ['write'] });
    await b.trigger(1);
    await a.fail('a');
    expect(next(a).run).toMatchObject({ tasks: HELD });
    await b.open();
    await b.clock.advance(1_000);
    expect(b.turn('a').batch).not.toHaveProperty('tasks');
  });
});

describe('a task has attempts of its own', () => {
  it('G2 one, unless more are allowed: its turn is dead behind it', async () => {
    const a = setUpTasks();
    a.turns.maxAttempts = 1;
    await a.trigger(1);
    await a.fail('a');
    expect(next(a)).toMatchObject({ kind: 'turn', status: 'failed', run: null, messages: [{ decision: 'dead' }] });
    expect(a.turns.heard).toEqual(['ending 1 failed dead', 'settled 1 ended']);
  });

  it('G2 and one that is out of time is the last, however many are left: its handler may still run', async () => {
    const a = setUpTasks();
    await a.trigger(1);
    await a.clock.advance(RETRY_POLICY.turnTimeoutMs + RETRY_POLICY.abortGraceMs);
    expect(next(a)).toMatchObject({ kind: 'turn', status: 'timed_out', attempt: 1, messages: [{ decision: 'dead' }] });
    expect(a.turns.heard).toEqual(['ending 1 timed_out dead leaked', 'settled 1 ended leaked']);
  });

  it('but "later" uses up none', async () => {
    const a = setUpTasks();
    a.turns.maxAttempts = 1;
    await a.trigger(1);
    await a.fail('a', 'Later', { laterMs: 500 });
    expect(next(a).run).toMatchObject({ attempt: 1 });
    await a.clock.advance(1_000);
    await a.end('a');
    expect(a.otherwise()).toEqual({});
  });
});

describe('the runner hears', () => {
  it('how a turn ends before any of it is durable', async () => {
    const { trigger, turn, turns, records, send, fail } = setUpTasks();
    await trigger(1);
    let open = (): void => {};
    turns.gate = new Promise((resolve) => (open = resolve));
    await fail('a', 'No', 'never');
    expect([turns.heard, records.buried, records.writes]).toEqual([['ending 1 failed dead'], [], 0]);
    await send(2);
    open();
    await settled();
    expect(records.of('a')).toMatchObject([{ upto: 1, messages: [{ seq: 1, decision: 'dead' }] }]);
    expect(records.buried.length).toBe(1);
    expect(turns.heard).toEqual(['ending 1 failed dead', 'settled 1 ended']);
    expect(turn('a').seqs).toEqual([2]);
  });

  it('the end that the record tells, when the turn asked for more than it holds', async () => {
    const { trigger, turn, turns } = setUpTasks();
    await trigger(1);
    turn('a').end({ state: { value: 'x'.repeat(300_000) } });
    await settled();
    expect(turns.heard).toEqual(['ending 1 failed dead', 'settled 1 ended']);
  });

  it('of a batch that is condemned, which never ran here', async () => {
    let process = setUpTasks();
    const { records, clock } = process;
    await process.trigger(1);
    for (let crash = 1; crash <= 3; crash++) {
      process.kill();
      process = setUpTasks({}, { records, clock, isRecovery: true });
      await process.trigger(1);
    }
    expect(process.otherwise()).toEqual({ 1: 'dead' });
    expect(process.batches()).toEqual([]);
    expect(process.turns.heard).toEqual(['ending 1 failed dead', 'settled 1 ended']);
  });

  it('that nothing of it counts: the shard was lost, or another record stands', async () => {
    let isOurs = true;
    const a = setUpTasks({ strategy: 'concurrent' }, { worker: 'A/1', mayStart: () => isOurs });
    await a.trigger(1);
    await a.trigger(2, 'l');
    isOurs = false;
    const b = setUpTasks({}, { worker: 'B/1', records: a.records, clock: a.clock, isRecovery: true });
    await b.trigger(1);
    await b.trigger(2, 'l');
    a.turn('a/1').end();
    await settled();
    a.runner.dropShard(0);
    await settled();
    expect(a.turns.heard).toEqual(['ending 1 succeeded handled', 'settled 1 discarded', 'settled 2 discarded']);
  });

  it('that a run is lost with its shard while it waited with what it held', async () => {
    const a = await failedHolding();
    a.runner.dropShard(0);
    expect(a.turns.heard).toEqual(['settled 1 again', 'settled 1 discarded']);
  });

  it('nothing of runs that hold nothing while they wait', async () => {
    const turns = new TaskTurns();
    const { send, fail, runner } = setUpTasks({}, { turns });
    await send(1);
    await fail('a');
    await runner.releaseShard(0);
    expect(turns.heard).toEqual(['settled 1 again']);
  });
});
