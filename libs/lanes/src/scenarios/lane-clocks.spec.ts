import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { setUpProcess } from './lane-process.fixture.js';
import { ManualClock, MemoryRecords, rawMessage, sessionKey, settled } from './lane-runner.fixture.js';
import { setUpSession } from './lane-strategies.fixture.js';

const TEN_MINUTES_MS = 600_000;
const HOUR_MS = 3_600_000;

describe('a retry', () => {
  it('waits at a new owner whose clock is behind no longer than it was to wait', async () => {
    const ahead = new ManualClock();
    ahead.setWall(TEN_MINUTES_MS);
    const a = setUpProcess({ clock: ahead, worker: 'A/1' });
    await a.receive('a', 1);
    await a.fail('a');
    const { records } = a;
    const from = await a.runner.releaseShard(0);
    const b = setUpProcess({ records, worker: 'B/1', from: { ...from, read: 0, open: [] } });
    await b.receive('a', 1);
    b.runner.caughtUp(0);
    await b.clock.advance(999);
    expect(b.started('a')).toEqual([]);
    await b.clock.advance(1);
    expect(b.started('a')).toMatchObject([{ attempt: 2 }]);
  });

  it.each([HOUR_MS, -HOUR_MS])('waits as long as it should when the wall clock is set by %d ms', async (byMs) => {
    const { clock, receive, fail, started } = setUpProcess();
    await receive('a', 1);
    await fail('a');
    await clock.advance(500);
    clock.setWall(byMs);
    // What is decided in between writes its time down once more.
    await receive('a', 2, 'rubbish');
    await clock.advance(499);
    expect(started('a').length).toBe(1);
    await clock.advance(1);
    expect(started('a').length).toBe(2);
  });

  it('L4 that lies further ahead than it was to wait may have been running at an owner that is gone', async () => {
    const records = new MemoryRecords();
    const ahead = new ManualClock();
    ahead.setWall(TEN_MINUTES_MS);
    const a = setUpProcess({ records, clock: ahead, worker: 'A/1' });
    await a.receive('a', 1);
    await a.fail('a');
    await ahead.advance(1_000);
    expect(a.started('a').length).toBe(2);
    a.kill();
    const b = setUpProcess({ records, worker: 'B/1', isRecovery: true });
    await b.receive('a', 1);
    b.runner.caughtUp(0);
    await b.clock.advance(0);
    expect(b.started('a')).toMatchObject([{ attempt: 3 }]);
    expect(records.of('a').at(-1)).toMatchObject({ worker: 'B/1', run: { attempt: 3, crashes: 1 } });
  });

  it('that is put off is not given up because the clock of the next owner is ahead', async () => {
    const random = (): number => 0;
    const a = setUpProcess({ random, worker: 'A/1' });
    await a.receive('a', 1);
    await a.fail('a', 'Later', { laterMs: 5_000 });
    const from = await a.runner.releaseShard(0);
    const clock = new ManualClock();
    clock.setWall(TEN_MINUTES_MS);
    const b = setUpProcess({ random, records: a.records, clock, worker: 'B/1', from: { ...from, read: 0, open: [] } });
    await b.receive('a', 1);
    b.runner.caughtUp(0);
    await settled();
    // By its clock that was long ago, so it runs at once; of the minute that it may be put off five seconds count.
    await b.fail('a', 'Later', { laterMs: 54_000 });
    expect(a.records.head('a').head.run).toMatchObject({ attempt: 1, waitMs: 54_000 });
    await clock.advance(54_000);
    await b.fail('a', 'Later', { laterMs: 2_000 });
    expect(a.records.head('a').head.run).toBeNull();
  });
});

it.each([HOUR_MS, -HOUR_MS])(
  'a quiet time ends when it should, or at once, when the wall clock is set by %d ms',
  async (byMs) => {
    const { clock, send, batches } = setUpSession({ strategy: 'debounce', debounceMs: 100, maxDebounceMs: 1_000 });
    await send(1);
    clock.setWall(byMs);
    await clock.advance(100);
    expect(batches()).toEqual([[1]]);
  },
);

it('a missing number is waited for as long as it should be when the wall clock is set back', async () => {
  const { clock, send, batches } = setUpSession({ strategy: 'fifo', gapTimeoutMs: 100 });
  await send(1, { sequence: 5 });
  clock.setWall(-HOUR_MS);
  await clock.advance(99);
  expect(batches()).toEqual([]);
  await clock.advance(1);
  expect(batches()).toEqual([[1]]);
});

it('L7 a window that was over before its worker began to run is judged when all of it is read, and not before', async () => {
  const clock = new ManualClock();
  clock.setWall(HOUR_MS);
  const storedAtMs = clock.now() - 60_000;
  const times = { debounceMs: 100, maxDebounceMs: 1_000 };
  const { runner, batches } = setUpSession(
    { strategy: 'collect', ...times },
    { clock, isRecovery: true, crashedUpTo: 0 },
  );
  runner.receive(sessionKey('a'), { ...rawMessage(1), storedAtMs });
  await clock.advance(1_000);
  expect(batches()).toEqual([]);
  runner.receive(sessionKey('a'), { ...rawMessage(2), storedAtMs: storedAtMs + 50 });
  runner.caughtUp(0);
  await settled();
  expect(batches()).toEqual([[1, 2]]);
});

it('the end of a wait is said by the wall clock as it is when it is asked for', async () => {
  const { clock, send, answer } = setUpSession({ strategy: 'fifo', gapTimeoutMs: 100 });
  await send(1, { sequence: 5 });
  clock.setWall(HOUR_MS);
  expect(answer().early?.endsAt).toBe(clock.now() + 100);
});

describe('a doubt whose end nothing tells of', () => {
  it('is over within a second: the lane goes on', async () => {
    const process = { isOurs: false };
    const { clock, receive, started } = setUpProcess({ mayStart: () => process.isOurs });
    await receive('a', 1);
    await clock.advance(5_000);
    expect(started('a')).toEqual([]);
    // A clock that was set is set right again, before anything else of the membership has looked at it.
    process.isOurs = true;
    await clock.advance(1_000);
    expect(started('a').length).toBe(1);
    expect(clock.waiting).toBe(started('a').length);
  });

  it('is looked for no more when the shard is given away', async () => {
    const { clock, receive, runner } = setUpProcess({ mayStart: () => false });
    await receive('a', 1);
    expect(clock.waiting).toBe(1);
    await runner.releaseShard(0);
    expect(clock.waiting).toBe(0);
  });
});

it('L5 however the wall clock is set, no message waits longer than windows, gaps and retries take', async () => {
  const setting = fc.record({ afterMs: fc.nat({ max: 400 }), byMs: fc.integer({ min: -HOUR_MS, max: HOUR_MS }) });
  const message = fc.record({
    afterMs: fc.nat({ max: 300 }),
    sequence: fc.constantFrom(undefined, undefined, 1, 2, 3, 5),
    strategy: fc.constantFrom('debounce', 'collect', 'burst', 'fifo', 'concurrent'),
  });
  const steps = fc.array(fc.oneof(setting, message), { minLength: 2, maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(steps, fc.nat({ max: 5 }), async (all, failures) => {
      const { clock, send, turns, decisions } = setUpSession({
        debounceMs: 100,
        maxDebounceMs: 500,
        gapTimeoutMs: 200,
      });
      let left = failures;
      const answer = (): void => {
        for (const turn of turns.of('a'))
          if (left-- > 0) turn.fail('Chance');
          else turn.end();
      };
      const pass = async (ms: number): Promise<void> => {
        for (let passed = 0; passed < ms; passed += 20) {
          await clock.advance(20);
          answer();
        }
      };
      let seq = 0;
      for (const { afterMs, ...step } of all) {
        await pass(afterMs);
        if ('byMs' in step) clock.setWall(step.byMs);
        else
          await send(++seq, {
            strategy: step.strategy,
            ...(step.sequence === undefined ? {} : { sequence: step.sequence }),
          });
      }
      // Each failure is a second or two of backoff, one after another at worst.
      await pass(2_000 + 2_500 * failures);
      expect(decisions().length).toBe(seq);
    }),
    { numRuns: 200, seed: 1 },
  );
}, 60_000);
