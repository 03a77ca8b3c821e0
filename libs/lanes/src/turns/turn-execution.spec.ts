import { describe, expect, it } from 'vitest';
import { jsonText, QUEUE_DEFAULTS } from '#contracts';
import {
  ManualClock,
  MemoryRecords,
  MemoryStore,
  POLICY,
  rawMessage,
  sessionKey,
  settled,
} from '../scenarios/lane-runner.fixture.js';
import { readInboxItem } from '../backlog/inbox-item.js';
import type { TurnWork } from '../ports.js';
import type { TurnOutcome } from '../turn-rules/settlement.js';
import { TurnExecution, type ExecutedTurn } from './turn-execution.js';

const policy = { ...POLICY, turnTimeoutMs: 1_000, abortGraceMs: 200 };
const success: TurnOutcome = { kind: 'succeeded', replies: [{ kind: 'reply', text: 'hi' }] };
const timedOut = {
  kind: 'timed_out',
  error: { name: 'turn_timeout', message: expect.stringMatching(/1000 ms \(turnTimeoutMs\)$/) },
};

/** An attempt that began at 1000; `end` is what its handler comes back with. */
function start({ isOutside = false, ownPolicy = policy } = {}) {
  const clock = new ManualClock();
  const records = new MemoryRecords();
  const handler = Promise.withResolvers<TurnOutcome>();
  const seen = { work: undefined as TurnWork | undefined, over: 0, executed: undefined as ExecutedTurn | undefined };
  const turns = {
    knows: () => true,
    policyOf: () => ownPolicy,
    queueingOf: () => QUEUE_DEFAULTS,
    runsOutside: () => isOutside,
    run: (work: TurnWork) => {
      seen.work = work;
      work.onOver(() => seen.over++);
      return handler.promise;
    },
  };
  const items = [3, 5].map((seq) =>
    readInboxItem(sessionKey('a'), rawMessage(seq), { queueingOf: () => QUEUE_DEFAULTS }),
  );
  const batch = {
    runId: 'r',
    attempt: 2,
    crashes: 0,
    failures: 1,
    isQuarantined: false,
    isCondemned: false,
    items,
    isConcurrent: false,
    lowestSeq: 1,
    summarized: 0,
  };
  const options = { store: new MemoryStore(records), turns, clock, worker: 'w/1' };
  const execution = new TurnExecution(sessionKey('a'), batch, jsonText('state'), 7, ownPolicy, options);
  const result = execution.run().then((executed) => (seen.executed = executed));
  const end = async (outcome: TurnOutcome = success): Promise<void> => {
    handler.resolve(outcome);
    await settled();
  };
  return { clock, records, execution, seen, end, handler, result };
}

describe('in time', () => {
  it('the outcome is that of the handler, with its times; nothing is aborted', async () => {
    const { clock, seen, end, execution } = start();
    expect(seen.work).toMatchObject({ state: jsonText('state'), deadline: 2_000, batch: { runId: 'r' } });
    const { signal } = execution;
    await clock.advance(999);
    expect(seen.over).toBe(0);
    await end();
    expect(seen).toMatchObject({
      executed: { outcome: success, isLeaked: false, times: { startedAt: 1_000, endedAt: 1_999 } },
      over: 1,
    });
    await clock.runOut();
    expect([signal.aborted, seen.over]).toEqual([false, 1]);
    // No timer outlives it.
    expect(clock.now()).toBe(1_999);
  });

  it('the signal is one and the same, however often it is asked for', () => {
    const { execution } = start();
    expect(execution.signal).toBe(execution.signal);
  });

  it('L6 a runner that rejects is a failure, and leaves no timer', async () => {
    const { clock, seen, handler, result } = start();
    handler.reject(new Error('no'));
    await result;
    expect(seen.executed?.outcome).toMatchObject({ kind: 'failed', error: { name: 'runner_failed' } });
    await clock.runOut();
    expect(clock.now()).toBe(1_000);
  });
});

describe('timeout', () => {
  it('aborts the signal at turnTimeoutMs, with its reason, and waits for the handler', async () => {
    const { clock, seen, execution } = start();
    const { signal } = execution;
    await clock.advance(999);
    expect(signal.aborted).toBe(false);
    await clock.advance(1);
    expect(signal.reason).toMatchObject({ name: 'TimeoutError', message: expect.stringContaining('1000 ms') });
    await clock.advance(199);
    expect([seen.executed, seen.over]).toEqual([undefined, 0]);
  });

  it('a signal that is asked for afterwards is aborted already', async () => {
    const { clock, execution } = start();
    await clock.advance(1_000);
    expect(execution.signal.aborted).toBe(true);
  });

  it.each<[string, TurnOutcome]>([
    ['fails', { kind: 'failed', error: { name: 'AbortError', message: 'aborted' }, next: 'never' }],
    ['answers all the same: too late to count', success],
  ])('L6 a handler that stops within the grace is over at once, timed out, when it %s', async (_title, outcome) => {
    const { clock, seen, end } = start();
    await clock.advance(1_150);
    await end(outcome);
    expect(seen).toMatchObject({
      executed: { outcome: timedOut, isLeaked: false, times: { endedAt: 2_150 } },
      over: 1,
    });
    await clock.runOut();
    expect(clock.now()).toBe(2_150);
  });

  it('L1 L6 a handler that ignores its abort is over after abortGraceMs, and leaked', async () => {
    const { clock, seen, end } = start();
    await clock.advance(1_199);
    expect(seen.executed).toBeUndefined();
    await clock.advance(1);
    await settled();
    expect(seen).toMatchObject({ executed: { outcome: timedOut, isLeaked: true, times: { endedAt: 2_200 } }, over: 1 });
    await end();
    await clock.runOut();
    expect(seen).toMatchObject({ executed: { outcome: timedOut }, over: 1 });
  });

  it('L6 a handler that rejects after all of that does no harm', async () => {
    const { clock, seen, handler } = start();
    await clock.advance(5_000);
    handler.reject(new Error('late'));
    await settled();
    expect(seen.executed).toMatchObject({ outcome: timedOut, isLeaked: true });
  });

  it('without any grace it is over at once', async () => {
    const { clock, seen } = start({ ownPolicy: { ...policy, abortGraceMs: 0 } });
    await clock.advance(1_000);
    await settled();
    expect(seen.executed).toMatchObject({ outcome: timedOut, isLeaked: true, times: { endedAt: 2_000 } });
  });
});

describe('abandon', () => {
  it('L3 tells the handler, makes its turn dead, and marks the outcome as discarded', async () => {
    const { seen, end, execution } = start();
    const { signal } = execution;
    expect(execution.isAbandoned).toBe(false);
    execution.abandon();
    expect([execution.isAbandoned, signal.aborted, seen.over > 0]).toEqual([true, true, true]);
    expect(signal.reason).toMatchObject({ message: 'this worker runs the turn no more' });
    await end();
    expect(seen.executed).toBeDefined();
  });

  it('also while the handler is stopping, and when the handler has not asked for the signal', async () => {
    const { clock, seen, execution } = start();
    await clock.advance(1_100);
    execution.abandon();
    expect([execution.isAbandoned, execution.signal.aborted, seen.over > 0]).toEqual([true, true, true]);
    expect(execution.signal.reason).toMatchObject({ name: 'TimeoutError' });
  });
});

describe('announcement', () => {
  const event = { type: 'turn-started', runId: 'r', attempt: 2, seqs: [3, 5], headSeq: 7, at: 1_000, worker: 'w/1' };

  it('goes out at 50 ms, once', async () => {
    const { clock, records, end } = start();
    await clock.advance(49);
    expect(records.announced).toEqual([]);
    await clock.advance(1);
    expect(records.announced).toEqual([event]);
    await clock.advance(800);
    await end();
    await clock.runOut();
    expect(records.announced).toEqual([event]);
  });

  it('not for a turn that ends before', async () => {
    const { clock, records, end } = start();
    await clock.advance(49);
    await end();
    await clock.runOut();
    expect(records.announced).toEqual([]);
  });

  it('at once, and once, for an agent outside', async () => {
    const { clock, records, end } = start({ isOutside: true });
    expect(records.announced).toEqual([event]);
    await clock.advance(500);
    await end();
    expect(records.announced.length).toBe(1);
  });
});
