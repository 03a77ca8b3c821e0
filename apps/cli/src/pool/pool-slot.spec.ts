import { describe, expect, it } from 'vitest';
import { ManualClock } from '#testing';
import { PoolSlot } from './pool-slot.js';
import { ListLog, ManualWorker } from './pool.fixture.js';

function setUp() {
  const clock = new ManualClock();
  const log = new ListLog();
  const workers: ManualWorker[] = [];
  const states: string[] = [];
  const slot: PoolSlot = new PoolSlot({
    spawn: (events) => {
      const worker = new ManualWorker(events);
      workers.push(worker);
      return worker;
    },
    ...{ leaveWithinMs: 10_000, clock, log },
    onChange: () => states.push(slot.state),
  });
  const last = (): ManualWorker => workers.at(-1) as ManualWorker;
  return { clock, log, workers, states, slot, last };
}

describe('a slot of the pool', () => {
  it('serves when its worker is ready, and is empty when it has left', async () => {
    const { slot, states, last, clock } = setUp();
    slot.start();
    slot.start();
    last().ready();
    slot.retire();
    slot.retire();
    expect(last().signals).toEqual(['SIGTERM']);
    last().exit('ended with exit code 0');
    await clock.advance(60_000);
    expect(states).toEqual(['starting', 'serving', 'leaving', 'empty']);
    expect(last().signals).toEqual(['SIGTERM']);
  });

  it('kills a worker that takes longer than its drain to leave', async () => {
    const { slot, last, clock, log } = setUp();
    slot.start();
    last().ready();
    slot.retire();
    await clock.advance(9_999);
    expect(last().signals).toEqual(['SIGTERM']);
    await clock.advance(1);
    expect([last().signals, slot.state]).toEqual([['SIGTERM', 'SIGKILL'], 'empty']);
    expect(log.lines.some(({ level, message }) => level === 'error' && /did not end in time/.test(message))).toBe(true);
  });

  it('replaces a worker that dies after 100 ms, and says how it died', async () => {
    const { slot, last, clock, log, workers } = setUp();
    slot.start();
    last().ready();
    await clock.advance(5_000);
    const { since } = slot;
    last().exit('ended by SIGKILL');
    await clock.advance(99);
    expect([slot.state, workers.length, slot.since]).toEqual(['paused', 1, since + 5_000]);
    await clock.advance(1);
    expect([slot.state, workers.length, slot.since]).toEqual(['starting', 2, since + 5_000]);
    expect(log.lines.at(-1)).toMatchObject({ level: 'error', fields: { end: 'ended by SIGKILL', pauseMs: 100 } });
    // The last lines of the former worker change nothing.
    workers[0]?.ready();
    expect(slot.state).toBe('starting');
  });

  it('waits twice as long after each failure, up to 30 s, and 100 ms again after a good life', async () => {
    const { slot, last, clock, log } = setUp();
    slot.start();
    for (let failures = 1; failures <= 11; failures++) {
      last().exit('ended with exit code 1');
      await clock.advance(30_000);
    }
    const pauses = (): unknown[] =>
      log.lines.flatMap(({ level, fields }) =>
        level === 'error' ? [(fields as Readonly<Record<string, unknown>>)['pauseMs']] : [],
      );
    expect(pauses()).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
    last().ready();
    await clock.advance(59_000);
    last().exit('ended by SIGSEGV');
    await clock.advance(30_000);
    last().ready();
    await clock.advance(60_000);
    last().exit('ended by SIGSEGV');
    await clock.advance(30_000);
    expect(pauses().slice(-2)).toEqual([30_000, 100]);
    expect(slot.state).toBe('starting');
  });

  it('tells of a worker that does not get ready, and starts another one in the end', async () => {
    const { slot, last, clock, log, workers } = setUp();
    slot.start();
    await clock.advance(30_000);
    expect(log.lines).toMatchObject([{ level: 'warn', message: expect.stringContaining('not ready yet') }]);
    await clock.advance(89_999);
    expect(last().signals).toEqual([]);
    await clock.advance(101);
    expect([workers.length, workers[0]?.signals, slot.state]).toEqual([2, ['SIGKILL'], 'starting']);
  });

  it('ends without a process when it is retired in a pause, and takes a new worker later', async () => {
    const { slot, last, clock, workers, states } = setUp();
    slot.start();
    last().exit('ended with exit code 1');
    await clock.advance(10);
    slot.retire();
    await clock.advance(60_000);
    expect([workers.length, states]).toEqual([1, ['starting', 'paused', 'empty']]);
    slot.start();
    last().exit('ended with exit code 1');
    await clock.advance(100);
    expect(workers.length).toBe(3);
  });
});
