import { describe, expect, it } from 'vitest';
import type { TurnStartedEvent } from '#contracts';
import { setUpProcess } from './lane-process.fixture.js';

describe('during a backoff', () => {
  it('L3 a message that arrives does not shorten it, and is not lost', async () => {
    const { clock, records, receive, fail, end, started } = setUpProcess();
    await receive('a', 1);
    await fail('a');
    for (const seq of [2, 3, 4]) {
      await clock.advance(300);
      await receive('a', seq);
    }
    expect(started('a').length).toBe(1);
    await clock.advance(100);
    expect(started('a').at(-1)).toMatchObject({ seqs: [1], attempt: 2 });
    await end('a');
    await end('a');
    expect(records.head('a').head).toMatchObject({ upto: 4, done: [], run: null });
  });

  it('L7 rejected rubbish keeps the run, and its time', async () => {
    const { clock, records, receive, fail, end, started } = setUpProcess();
    await receive('a', 1);
    await fail('a');
    await receive('a', 2, 'rubbish');
    const run = { seqs: [1], attempt: 2, notBefore: 2_000 };
    expect(records.of('a')).toMatchObject([{ run }, { messages: [{ seq: 2, decision: 'rejected' }], run }]);
    await clock.advance(999);
    expect(started('a').length).toBe(1);
    await clock.advance(1);
    await end('a');
    expect(records.head('a').head).toMatchObject({ upto: 2, run: null });
  });

  it('the session says so, and for how long', async () => {
    const { clock, receive, fail, turn, answer } = setUpProcess();
    await receive('a', 1);
    const { runId } = turn('a').batch;
    await fail('a');
    await receive('a', 2);
    const retry = { runId, attempt: 2, seqs: [1], notBefore: 2_000 };
    expect(answer()).toEqual({ state: 'retrying', depth: 2, oldestMs: 99, retry, worker: 'w/1' });
    await clock.advance(1_000);
    expect(answer()).toMatchObject({ state: 'running', depth: 1, running: { runId, attempt: 2 } });
    expect(answer()).not.toHaveProperty('retry');
  });

  it('a stop starts nothing, and is idle at once', async () => {
    const { clock, receive, fail, runner, turns } = setUpProcess();
    await receive('a', 1);
    await fail('a');
    await runner.releaseShard(0);
    await runner.work.whenIdle();
    const before = clock.now();
    await clock.runOut();
    expect([turns.started.length, clock.now()]).toEqual([1, before]);
  });

  it('a stop that comes while its note is on its way waits for the note, and starts nothing', async () => {
    const { clock, receive, fail, runner, turns, closed, open, records } = setUpProcess();
    await receive('a', 1);
    closed.add('write');
    await fail('a');
    const released = runner.releaseShard(0);
    const idle = runner.work.whenIdle();
    expect(runner.running).toBe(1);
    await open();
    await idle;
    // What the note left is the next owner's, and is not in handoff.
    expect((await released).open).toEqual([{ session: 'main.a', from: 1 }]);
    await clock.runOut();
    expect([turns.started.length, records.of('a').length]).toEqual([1, 1]);
  });

  it.each([
    { isCrash: false, hasHint: false },
    { isCrash: false, hasHint: true },
    { isCrash: true, hasHint: false },
    { isCrash: true, hasHint: true },
  ])(
    'L7 a new process neither shortens it nor changes run or attempt (a crash: $isCrash, with a hint: $hasHint)',
    async ({ isCrash, hasHint }) => {
      const first = setUpProcess();
      const { records, clock } = first;
      await first.receive('a', 1);
      if (hasHint) await clock.advance(60);
      await first.fail('a');
      const notBefore = clock.now() + 1_000;
      expect(records.announced.length).toBe(hasHint ? 1 : 0);
      const from = await first.runner.releaseShard(0);
      await clock.advance(400);
      const second = setUpProcess({ records, clock, ...(isCrash ? { isRecovery: true } : { from }) });
      for (const seq of [1, 2]) await second.receive('a', seq);
      second.runner.caughtUp(0);
      expect(second.answer()).toMatchObject({ state: 'retrying', retry: { attempt: 2, notBefore } });
      await clock.advance(599);
      expect(second.turns.started).toEqual([]);
      await clock.advance(1);
      expect(second.started('a')).toEqual([{ ...first.started('a')[0], attempt: 2 }]);
      expect(records.of('a').length).toBe(1);
      await second.end('a');
      expect(second.turn('a').seqs).toEqual([2]);
    },
  );

  it('a restart behind its end runs it at once', async () => {
    const first = setUpProcess();
    const { records, clock } = first;
    await first.receive('a', 1);
    await first.fail('a');
    const from = await first.runner.releaseShard(0);
    await clock.advance(5_000);
    const second = setUpProcess({ records, clock, from });
    await second.receive('a', 1);
    expect(second.turn('a').batch).toMatchObject({ attempt: 2, failures: 1 });
    expect(records.of('a').length).toBe(1);
  });

  it('a crash behind its end: it may have been begun, so a note counts that before it runs at once', async () => {
    const first = setUpProcess();
    const { records, clock } = first;
    await first.receive('a', 1);
    await first.fail('a');
    const [{ runId } = { runId: '' }] = first.started('a');
    await first.runner.releaseShard(0);
    await clock.advance(5_000);
    const second = setUpProcess({ records, clock, isRecovery: true });
    await second.receive('a', 1);
    const error = { name: 'Boom', message: 'on purpose' };
    expect(records.of('a').at(-1)?.run).toEqual({ runId, seqs: [1], attempt: 3, crashes: 1, failures: 1, error });
    expect(second.turn('a').batch).toMatchObject({ runId, attempt: 3, crashes: 1, failures: 1 });
  });

  it('a restart keeps how long it has been put off in all', async () => {
    const random = (): number => 0;
    const first = setUpProcess({ random });
    const { records, clock } = first;
    await first.receive('a', 1);
    await first.fail('a', 'retry_later', { laterMs: 50_000 });
    const second = setUpProcess({ random, records, clock, from: await first.runner.releaseShard(0) });
    await second.receive('a', 1);
    await clock.advance(50_000);
    await second.fail('a', 'retry_later', { laterMs: 10_001 });
    expect(records.of('a').at(-1)).toMatchObject({ messages: [{ decision: 'dead' }] });
  });
});

describe('a crash', () => {
  it('L7 of attempt 2, behind its announcement, leads to attempt 3 of the same run', async () => {
    const first = setUpProcess();
    const { records, clock } = first;
    await first.receive('a', 1);
    await clock.advance(60);
    await first.fail('a');
    await clock.advance(1_060);
    expect(records.announced).toMatchObject([
      { attempt: 1, headSeq: 0 },
      { attempt: 2, headSeq: 1 },
    ]);
    const [former] = first.started('a');
    const second = setUpProcess({ records, clock, isRecovery: true });
    for (const seq of [1, 2]) await second.receive('a', seq);
    expect(second.started('a')).toEqual([{ ...former, attempt: 3 }]);
    expect(records.of('a').at(-1)).toMatchObject({
      ...{ kind: 'note', messages: [] },
      run: { ...former, attempt: 3, crashes: 1, failures: 1 },
    });
    // It was not dead: its commit meets the note.
    await first.end('a');
    expect([records.of('a').length, first.runner.discarded]).toEqual([2, 1]);
    // The attempt that was cut is none of its three.
    await second.fail('a');
    expect(records.of('a').at(-1)?.run).toMatchObject({ attempt: 4, crashes: 1, failures: 2 });
    await clock.advance(2_000);
    await second.fail('a', 'Last');
    expect(records.of('a').at(-1)).toMatchObject({ attempt: 4, messages: [{ seq: 1, decision: 'dead' }] });
  });

  it('L7 behind a note beside the running turn leads to the next attempt of the same batch', async () => {
    const first = setUpProcess();
    const { records, clock } = first;
    await first.receive('a', 1);
    await clock.advance(60);
    await first.receive('a', 2, 'rubbish');
    const [former] = first.started('a');
    const note = { messages: [{ seq: 2 }], run: { ...former, attempt: 1, crashes: 0, failures: 0 } };
    expect(records.of('a')).toMatchObject([note]);
    const second = setUpProcess({ records, clock, isRecovery: true });
    for (const seq of [1, 2, 3]) await second.receive('a', seq);
    expect(second.started('a')).toEqual([{ ...former, attempt: 2 }]);
    expect(records.of('a')).toMatchObject([note, { messages: [], run: { ...former, attempt: 2, crashes: 1 } }]);
    // A commit of the former process, had it only seemed to be gone, comes too late.
    await first.end('a');
    expect([records.of('a').length, first.runner.discarded]).toEqual([2, 1]);
  });

  it('a turn that goes on behind such a note ends as the attempt that it is', async () => {
    const { clock, records, receive, fail, end } = setUpProcess();
    await receive('a', 1);
    await receive('a', 2, 'rubbish');
    await fail('a');
    expect(records.of('a').at(-1)).toMatchObject({ run: { attempt: 2, notBefore: 2_000 } });
    await clock.advance(1_000);
    await receive('a', 3, 'rubbish');
    await fail('a', 'retry_later', { laterMs: 1_000 });
    expect(records.of('a').at(-1)).toMatchObject({ run: { attempt: 2 } });
    await clock.advance(1_250);
    await end('a');
    expect(records.of('a').at(-1)).toMatchObject({ attempt: 2, status: 'succeeded', run: null });
  });

  it.each<[string, Partial<TurnStartedEvent>]>([
    ['of an attempt that its record has ended', { attempt: 1, headSeq: 0 }],
    ['from before a record that is gone', { attempt: 5, headSeq: 9 }],
  ])('a hint %s is void', async (_title, hint) => {
    const first = setUpProcess();
    const { records, clock } = first;
    await first.receive('a', 1);
    await first.fail('a');
    const runId = first.started('a')[0]?.runId ?? '';
    records.announce(
      'a',
      {
        ...{ type: 'turn-started', runId, seqs: [1], at: 1, worker: 'w/0', attempt: 1, headSeq: 0 },
        ...hint,
      },
      false,
    );
    const second = setUpProcess({ records, clock, isRecovery: true });
    await second.receive('a', 1);
    expect(second.answer()).toMatchObject({ state: 'retrying', retry: { runId, attempt: 2, notBefore: 2_000 } });
    expect(records.of('a').length).toBe(1);
  });
});
