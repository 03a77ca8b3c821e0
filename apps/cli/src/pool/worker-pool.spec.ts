import { describe, expect, it } from 'vitest';
import { ManualClock } from '#testing';
import { PoolSlot } from './pool-slot.js';
import { ListLog, ManualLoads, ManualWorker } from './pool.fixture.js';
import { WorkerPool } from './worker-pool.js';

const IDS = ['p-1', 'p-2', 'p-3'];

function setUp(minWorkers = 1) {
  const clock = new ManualClock();
  const loads = new ManualLoads(clock);
  const log = new ListLog();
  const started: { readonly id: string; readonly worker: ManualWorker }[] = [];
  const limits = { ...{ minWorkers, maxWorkers: 3, idleTimeoutMs: 10_000 }, capacity: 1, cores: 2, settleMs: 3_000 };
  const pool = new WorkerPool({
    ...{ limits, loads, clock, log },
    ids: IDS,
    silentAfterMs: 3_000,
    hungAfterMs: 30_000,
    makeSlot: (id, onChange) =>
      new PoolSlot({
        spawn: (events) => {
          const worker = new ManualWorker(events);
          started.push({ id, worker });
          return worker;
        },
        ...{ leaveWithinMs: 20_000, clock, log, onChange },
      }),
  });
  const of = (id: string): ManualWorker => started.findLast((each) => each.id === id)?.worker as ManualWorker;
  const startedIds = (): string[] => started.map(({ id }) => id);
  /** Seconds in which these workers tell that they live. */
  const pass = async (seconds: number, ids: readonly string[] = IDS): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      for (const id of ids) loads.tell(id);
      await clock.advance(1_000);
    }
  };
  return { clock, loads, log, pool, of, startedIds, pass };
}

const never = new AbortController().signal;

describe('a pool of workers', () => {
  it('is ready when its least number is, though one of them had to be started twice', async () => {
    const { pool, of, clock, startedIds } = setUp(2);
    let isReady = false;
    const ready = pool.start(never).then(() => (isReady = true));
    expect(startedIds()).toEqual(['p-1', 'p-2']);
    of('p-1').ready();
    of('p-2').exit('ended with exit code 1');
    await clock.advance(1_000);
    expect([isReady, startedIds()]).toEqual([false, ['p-1', 'p-2', 'p-2']]);
    of('p-2').ready();
    await ready;
  });

  it('ends its start when it is asked to stop', async () => {
    const { pool, of } = setUp();
    const stopping = new AbortController();
    const starting = pool.start(stopping.signal);
    stopping.abort();
    await expect(starting).rejects.toThrow(/abort/i);
    const stopped = pool.stop();
    expect(of('p-1').signals).toEqual(['SIGTERM']);
    of('p-1').exit('ended with exit code 0');
    await stopped;
    await expect(pool.start(stopping.signal)).rejects.toThrow(/abort/i);
  });

  it('grows by what waits, and shrinks one by one to its least size', async () => {
    const { pool, of, loads, pass, startedIds } = setUp();
    void pool.start(never);
    of('p-1').ready();
    loads.tell('p-1', { running: 1, waiting: 2 });
    await pass(1, []);
    expect(startedIds()).toEqual(IDS);
    of('p-2').ready();
    of('p-3').ready();
    await pass(12);
    expect(of('p-3').signals).toEqual(['SIGTERM']);
    expect(of('p-2').signals).toEqual([]);
    of('p-3').exit('ended with exit code 0');
    await pass(12, ['p-1', 'p-2']);
    expect(of('p-2').signals).toEqual(['SIGTERM']);
    of('p-2').exit('ended with exit code 0');
    await pass(60, ['p-1']);
    expect([of('p-1').signals, startedIds()]).toEqual([[], IDS]);
  });

  it('replaces a worker that hangs, and gets another one beside it first', async () => {
    const { pool, of, pass, log, startedIds } = setUp();
    void pool.start(never);
    of('p-1').ready();
    await pass(5, ['p-1']);
    await pass(8, []);
    expect(startedIds()).toEqual(['p-1', 'p-2']);
    of('p-2').ready();
    await pass(30, ['p-2']);
    expect(startedIds()).toEqual(['p-1', 'p-2', 'p-1']);
    expect(log.lines.filter(({ message }) => message.includes('hangs'))).toHaveLength(1);
  });

  it('ignores the silence of workers while it cannot hear them, and after it stood still itself', async () => {
    const { pool, of, pass, loads, clock, startedIds } = setUp();
    void pool.start(never);
    of('p-1').ready();
    await pass(5, ['p-1']);
    loads.hearsSince = undefined;
    await pass(100, []);
    loads.hearsSince = clock.monotonic();
    await pass(2, []);
    await pass(5, ['p-1']);
    clock.standStill(100_000);
    await pass(2, []);
    expect([of('p-1').signals, startedIds()]).toEqual([[], ['p-1']]);
  });

  it('stops all of them at once, and starts none any more', async () => {
    const { pool, of, pass, startedIds } = setUp(3);
    void pool.start(never);
    for (const id of ['p-1', 'p-2']) of(id).ready();
    of('p-3').exit('ended with exit code 1');
    await pass(0);
    let isStopped = false;
    const stopped = pool.stop().then(() => (isStopped = true));
    expect(of('p-1').signals).toEqual(['SIGTERM']);
    of('p-1').exit('ended with exit code 0');
    await pass(10, []);
    expect([isStopped, startedIds()]).toEqual([false, IDS]);
    of('p-2').exit('ended with exit code 0');
    await stopped;
  });
});
