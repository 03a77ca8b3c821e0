import { describe, expect, it } from 'vitest';
import type { SessionTokens } from '#contracts';
import { decisionsOf, RETRY_POLICY, setUpProcess } from './lane-process.fixture.js';
import {
  makeRunner,
  ManualClock,
  ManualTurns,
  MemoryRecords,
  MemoryStore,
  rawMessage,
  sessionKey,
  settled,
} from './lane-runner.fixture.js';

const lettersOf = ({ buried }: MemoryRecords, session: string) =>
  buried.filter((each) => each.session === session).map(({ letter, records }) => ({ ...letter, records }));

describe('a turn that fails', () => {
  it('L2 L7 twice, then succeeds: one run, attempts 1 to 3; what came meanwhile is a turn of its own', async () => {
    const { clock, records, receive, fail, end, started, turns } = setUpProcess();
    await receive('a', 1);
    await fail('a');
    await receive('a', 2);
    await clock.advance(999);
    expect(started('a').length).toBe(1);
    await clock.advance(1);
    await receive('a', 3);
    await fail('a');
    await clock.advance(1_999);
    expect(started('a').length).toBe(2);
    await clock.advance(1);
    await end('a');
    const [{ runId } = { runId: '' }, ...rest] = started('a');
    expect(rest).toMatchObject([
      { runId, seqs: [1], attempt: 2 },
      { runId, seqs: [1], attempt: 3 },
      { seqs: [2, 3], attempt: 1 },
    ]);
    expect(rest[2]?.runId).not.toBe(runId);
    await end('a');
    expect(records.of('a')).toMatchObject([
      { kind: 'note', messages: [], run: { runId, seqs: [1], attempt: 2, crashes: 0, notBefore: 2_000 } },
      { kind: 'note', messages: [], run: { runId, seqs: [1], attempt: 3, notBefore: 4_000 } },
      { kind: 'turn', status: 'succeeded', runId, attempt: 3, run: null, messages: [{ seq: 1, decision: 'handled' }] },
      { kind: 'turn', status: 'succeeded', attempt: 1, messages: [{ seq: 2 }, { seq: 3 }] },
    ]);
    expect([turns.active.size, records.buried]).toEqual([0, []]);
  });

  it('L6 always is dead after maxAttempts, and the next message is served', async () => {
    const { clock, records, receive, fail, end, turn } = setUpProcess();
    await receive('a', 1, { text: 'poison' });
    const { runId } = turn('a').batch;
    for (const backoffMs of [1_000, 2_000]) {
      await fail('a');
      await clock.advance(backoffMs);
    }
    await receive('a', 2);
    await fail('a', 'Last');
    const dead = { status: 'failed', error: { name: 'Last', message: 'on purpose' } };
    expect(records.of('a').at(-1)).toMatchObject({
      ...dead,
      attempt: 3,
      sends: [],
      messages: [{ seq: 1, decision: 'dead', reason: 'Last' }],
    });
    expect(lettersOf(records, 'a')).toEqual([
      {
        ...{ v: 1, messageId: 'm1', seq: 1, runId, attempts: 3, ...dead, deadAt: clock.now() },
        message: { v: 1, kind: 'message', id: 'm1', text: 'poison' },
        // Two notes were there, and not yet the record that decides it.
        records: 2,
      },
    ]);
    await end('a');
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'dead'],
      [2, 'handled'],
    ]);
  });

  it('keeps the state that it began with', async () => {
    const { clock, receive, turn, fail } = setUpProcess();
    await receive('a', 1);
    turn('a').end({ state: { value: { n: 1 } } });
    await settled();
    await receive('a', 2);
    await fail('a');
    await clock.advance(1_000);
    expect(turn('a')).toMatchObject({ state: { n: 1 }, batch: { attempt: 2 } });
  });

  it('terminal is dead at once, with a letter for each of its messages', async () => {
    const { records, runner, turns, fail, turn } = setUpProcess();
    for (const seq of [1, 2]) runner.receive(sessionKey('a'), rawMessage(seq));
    await settled();
    expect(turn('a').seqs).toEqual([1, 2]);
    await fail('a', 'refused', 'never');
    expect(records.of('a')).toMatchObject([{ status: 'failed', attempt: 1, error: { name: 'refused' } }]);
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'dead'],
      [2, 'dead'],
    ]);
    expect(lettersOf(records, 'a')).toMatchObject([
      { messageId: 'm1', attempts: 1, records: 0 },
      { messageId: 'm2', attempts: 1, records: 0 },
    ]);
    expect(turns.started.length).toBe(1);
  });

  it('at its record, which is too large, is dead too, with its letter before', async () => {
    const { records, receive, turn } = setUpProcess();
    await receive('a', 1);
    turn('a').end({ replies: [{ kind: 'reply', text: 'x'.repeat(800_000) }] });
    await settled();
    expect(records.of('a')).toMatchObject([{ status: 'failed', error: { name: 'record_too_large' } }]);
    expect(lettersOf(records, 'a')).toMatchObject([{ seq: 1, error: { name: 'record_too_large' }, records: 0 }]);
  });

  it('holds no slot while it waits', async () => {
    const { clock, receive, fail, end, turns, turn } = setUpProcess({ capacity: 1 });
    await receive('a', 1);
    await receive('b', 2);
    await fail('a');
    expect([...turns.active.keys()]).toEqual(['b']);
    await clock.advance(1_000);
    expect([...turns.active.keys()]).toEqual(['b']);
    await end('b');
    expect(turn('a').batch.attempt).toBe(2);
  });
});

describe('a turn that takes too long', () => {
  it('runs again, its handler leaked or not, and is dead as timed out in the end', async () => {
    const { clock, records, receive, runner, turns, started } = setUpProcess();
    await receive('a', 1);
    await clock.advance(10_200);
    expect([turns.active.size, runner.running, runner.leaked]).toEqual([0, 0, 1]);
    await clock.advance(1_000);
    expect(started('a')).toMatchObject([{ attempt: 1 }, { attempt: 2 }]);
    await clock.advance(10_100);
    turns.started[1]?.end();
    await settled();
    await clock.advance(2_000 + 10_200);
    expect(runner.leaked).toBe(2);
    expect(records.of('a').at(-1)).toMatchObject({
      status: 'timed_out',
      attempt: 3,
      sends: [],
      messages: [{ decision: 'dead', reason: 'turn_timeout' }],
    });
    expect(lettersOf(records, 'a')).toMatchObject([{ status: 'timed_out', attempts: 3 }]);
    // What the leaked handlers still answer does not count.
    const { writes } = records;
    for (const each of turns.started) each.end();
    await settled();
    expect(records.writes).toBe(writes);
  });

  it('L6 holds no other lane', async () => {
    const { clock, receive, end, records } = setUpProcess({ capacity: 2 });
    await receive('a', 1);
    for (let seq = 2; seq <= 20; seq++) {
      await receive('b', seq);
      await clock.advance(1_000);
      await end('b');
    }
    expect(records.of('b').length).toBe(19);
  });
});

const NO_SPREAD = { random: () => 0 };

describe('a turn that asks for later', () => {
  it('runs as the same attempt, not before its time', async () => {
    const { clock, records, receive, fail, started } = setUpProcess();
    await receive('a', 1);
    await fail('a');
    await clock.advance(1_000);
    await fail('a', 'retry_later', { laterMs: 7_000 });
    // A quarter behind what was asked for: half of what sessions spread over.
    expect(records.of('a').at(-1)).toMatchObject({ run: { attempt: 2, notBefore: 10_750, laterSince: 2_000 } });
    await clock.advance(8_749);
    expect(started('a').length).toBe(2);
    await clock.advance(1);
    expect(started('a')).toMatchObject([{ attempt: 1 }, { attempt: 2 }, { attempt: 2 }]);
  });

  it('is dead when it is put off for longer than retryLaterMaxMs in all', async () => {
    const { clock, records, receive, fail, turns } = setUpProcess(NO_SPREAD);
    await receive('a', 1);
    const since = clock.now();
    for (let i = 0; i < 20 && turns.active.has('a'); i++) {
      await fail('a', 'retry_later', { laterMs: 9_000 });
      await clock.advance(9_000);
    }
    expect(turns.started.length).toBe(7);
    expect(clock.now() - since).toBeLessThanOrEqual(RETRY_POLICY.retryLaterMaxMs + 9_000);
    expect(new Set(turns.started.map(({ batch }) => batch.attempt))).toEqual(new Set([1]));
    expect(records.of('a').at(-1)).toMatchObject({
      status: 'failed',
      messages: [{ decision: 'dead', reason: 'retry_later' }],
    });
    expect(lettersOf(records, 'a')).toMatchObject([{ attempts: 1, error: { name: 'retry_later' } }]);
  });

  it('L6 at no certain time comes back later and later, also at owners that take over in between', async () => {
    let process = setUpProcess(NO_SPREAD);
    const { records, clock } = process;
    const waits: number[] = [];
    await process.receive('a', 1);
    for (let i = 0; i < 7; i++) {
      await process.fail('a', 'agent_unreachable', { laterMs: 0 });
      const { notBefore = 0, attempt } = records.of('a').at(-1)?.run ?? {};
      waits.push(notBefore - clock.now());
      expect(attempt).toBe(1);
      if (i % 2 === 1) {
        const from = await process.runner.releaseShard(0);
        process = setUpProcess({ ...NO_SPREAD, records, clock, from });
        await process.receive('a', 1);
      }
      await clock.advance(notBefore - clock.now());
    }
    // The last one ends at the bound: 60 s in all.
    expect(waits).toEqual([1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 28_000]);
    await process.fail('a', 'agent_unreachable', { laterMs: 0 });
    expect(records.of('a').at(-1)).toMatchObject({ messages: [{ decision: 'dead', reason: 'agent_unreachable' }] });
  });

  it('is not bounded by what it was put off before a real attempt', async () => {
    const { clock, records, receive, fail } = setUpProcess(NO_SPREAD);
    await receive('a', 1);
    await fail('a', 'retry_later', { laterMs: 59_000 });
    await clock.advance(59_000);
    await fail('a');
    expect(records.of('a').at(-1)?.run).not.toHaveProperty('laterSince');
    await clock.advance(1_000);
    await fail('a', 'retry_later', { laterMs: 59_000 });
    expect(records.of('a').at(-1)).toMatchObject({ run: { attempt: 2, laterSince: clock.now() } });
  });
});

describe('dead letters', () => {
  it('L6 that wait for their store hold their own lane alone, and stand before the record', async () => {
    const { records, receive, fail, end, turns, closed, open } = setUpProcess();
    await receive('a', 1);
    await receive('b', 2);
    await receive('a', 3);
    closed.add('bury');
    await fail('a', 'refused', 'never');
    await receive('a', 4, 'rubbish');
    await end('b');
    await receive('b', 5);
    await end('b');
    expect([records.of('a'), records.of('b').length, turns.active.size]).toEqual([[], 2, 0]);
    await open();
    expect(lettersOf(records, 'a')).toMatchObject([{ seq: 1, records: 0 }]);
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'dead'],
      [4, 'rejected'],
    ]);
    await end('a');
    expect(records.head('a').head).toMatchObject({ upto: 4, done: [] });
  });

  it('L3 that could not be stored before the process ended leave the message undecided', async () => {
    const { clock, records, receive, fail, turns, turn } = setUpProcess();
    const store = new MemoryStore(records);
    store.bury = () => Promise.resolve(false);
    const other = makeRunner({ store, turns, clock });
    other.receive(sessionKey('a'), rawMessage(1));
    await settled();
    await fail('a', 'refused', 'never');
    expect([records.writes, records.buried]).toEqual([0, []]);
    await receive('a', 1);
    expect(turn('a').seqs).toEqual([1]);
  });

  it('are those of the session that they came from', async () => {
    const keys: SessionTokens[] = [];
    const records = new MemoryRecords();
    const store = new MemoryStore(records);
    const turns = new ManualTurns(({ fail }) => fail('refused', 'never'));
    const bury = store.bury.bind(store);
    store.bury = (key, letters) => {
      keys.push(key);
      return bury(key, letters);
    };
    const runner = makeRunner({ store, turns, clock: new ManualClock() });
    for (const [i, session] of ['a', 'b'].entries()) runner.receive(sessionKey(session), rawMessage(i + 1));
    await settled();
    expect(keys).toEqual([sessionKey('a'), sessionKey('b')]);
  });
});
