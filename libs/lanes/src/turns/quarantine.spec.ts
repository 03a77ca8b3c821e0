import { describe, expect, it } from 'vitest';
import { setUpProcess } from '../scenarios/lane-process.fixture.js';
import { HOME } from '../lane/lane.fixture.js';
import { Lane, type LaneRun } from '../lane/lane.js';
import { Quarantine } from './quarantine.js';

/** A process that took over sessions which were in work when two workers ended; session i has message i + 1. */
async function setUp(sessions: readonly string[], capacity = 100) {
  const first = setUpProcess();
  const { records, clock } = first;
  const receiveAll = async (to: typeof first): Promise<void> => {
    for (const [i, session] of sessions.entries()) await to.receive(session, i + 1);
  };
  await receiveAll(first);
  first.kill();
  const second = setUpProcess({ records, clock, isRecovery: true, crashedUpTo: 100 });
  await receiveAll(second);
  second.kill();
  const third = setUpProcess({ records, clock, isRecovery: true, crashedUpTo: 100, capacity });
  await receiveAll(third);
  const running = (): string[] => [...third.turns.active.keys()];
  const runOf = (session: string) => records.of(session).at(-1)?.run;
  return { ...third, running, runOf };
}

describe('Quarantine', () => {
  const run = (session: string): LaneRun => new Lane(`main.${session}`, HOME).serial;

  it('has one inside; those that waited may try when it leaves, each once', () => {
    const quarantine = new Quarantine();
    const [a, b, c] = [run('a'), run('b'), run('c')];
    expect([a, a, b, c, b].map((each) => quarantine.enter(each))).toEqual([true, true, false, false, false]);
    expect(quarantine.leave(b)).toEqual([]);
    expect(quarantine.enter(c)).toBe(false);
    expect(quarantine.leave(a)).toEqual([b, c]);
    expect([quarantine.enter(c), quarantine.enter(b)]).toEqual([true, false]);
    expect(quarantine.leave(c)).toEqual([b]);
    expect([quarantine.enter(b), quarantine.leave(b), quarantine.leave(b)]).toEqual([true, [], []]);
  });

  it('names no run that only asked whether it is free', () => {
    const quarantine = new Quarantine();
    const [a, b, c] = [run('a'), run('b'), run('c')];
    quarantine.enter(a);
    expect([quarantine.isFreeFor(a), quarantine.isFreeFor(b)]).toEqual([true, false]);
    quarantine.wait(c);
    expect(quarantine.leave(a)).toEqual([c]);
  });
});

describe('sessions that were in work when two workers ended', () => {
  it('run one at a time, each behind its note, and the innocent ones come through; no other run waits for them', async () => {
    const { running, runOf, receive, end, records, turns } = await setUp(['a', 'b', 'c']);
    await receive('fresh', 4);
    for (const [session, waiting] of [
      ['a', ['b', 'c']],
      ['b', ['c']],
      ['c', []],
    ] as const) {
      expect(running().toSorted()).toEqual([session, 'fresh']);
      expect(runOf(session)).toMatchObject({ attempt: 3, crashes: 2, quarantined: true });
      expect(turns.active.get(session)?.batch).toMatchObject({ crashes: 2, isQuarantined: true });
      for (const other of waiting) expect(runOf(other)).toEqual({ ...runOf(other), attempt: 2, crashes: 1 });
      await end(session);
    }
    expect(running()).toEqual(['fresh']);
    for (const session of ['a', 'b', 'c']) {
      expect(records.of(session).at(-1)).toMatchObject({ status: 'succeeded', attempt: 3, run: null });
    }
    await receive('a', 5);
    expect(turns.active.get('a')?.batch).toMatchObject({ crashes: 0, isQuarantined: false });
  });

  it('do not wait for each other for ever when there is one slot', async () => {
    const { running, end } = await setUp(['a', 'b', 'c'], 1);
    for (const session of ['a', 'b', 'c']) {
      expect(running()).toEqual([session]);
      await end(session);
    }
    expect(running()).toEqual([]);
  });

  it('leave it with a failed attempt, and enter it again, by another note, with the next', async () => {
    const { clock, running, runOf, fail, end, turn } = await setUp(['a', 'b']);
    await fail('a');
    expect(runOf('a')).toMatchObject({ attempt: 4, crashes: 2, failures: 1, notBefore: clock.now() + 1_000 });
    expect(runOf('a')).not.toHaveProperty('quarantined');
    expect(running()).toEqual(['b']);
    await clock.advance(1_000);
    expect(running()).toEqual(['b']);
    await end('b');
    expect(running()).toEqual(['a']);
    expect(runOf('a')).toEqual({ ...runOf('a'), attempt: 4, quarantined: true });
    expect(turn('a').batch).toMatchObject({ attempt: 4, failures: 1, isQuarantined: true });
  });

  it('leave it when they are cancelled while they wait for it, or in it', async () => {
    const { running, receive, clock } = await setUp(['a', 'b', 'c']);
    const order = { kind: 'control', op: 'cancel', target: { what: 'session' } };
    await receive('b', 4, order);
    await receive('a', 5, order);
    expect(running()).toEqual(['a']);
    await clock.advance(200);
    expect(running()).toEqual(['c']);
  });

  it('leave it when their shard is lost, for those of other shards', async () => {
    const { runner, turns, running } = await setUp(['a']);
    const [held] = turns.started;
    runner.dropShard(0);
    expect([running(), held?.signal.aborted, runner.discarded]).toEqual([[], true, 1]);
  });
});
