import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decidePoolSize, type PoolLimits, type PoolNotes, type PoolWorker, type WorkerLoad } from './pool-size.js';

const LIMITS: PoolLimits = {
  ...{ minWorkers: 1, maxWorkers: 5, idleTimeoutMs: 60_000, capacity: 10, cores: 4, settleMs: 5_000 },
};

const LONG_AGO = -1_000_000;

function serving(slot: number, load: Partial<WorkerLoad> | 'silent' = {}, since = LONG_AGO): PoolWorker {
  return {
    ...{ slot, since, state: 'serving' },
    load: load === 'silent' ? undefined : { running: 0, waiting: 0, busy: 0, ...load },
  };
}

const coming = (slot: number, since = LONG_AGO): PoolWorker => ({ slot, since, state: 'coming' });
const leaving = (slot: number): PoolWorker => ({ slot, since: LONG_AGO, state: 'leaving' });

/** Looks once a second at workers that stay as they are; answers what was decided first, and when. */
function firstStep(workers: readonly PoolWorker[], limits: Partial<PoolLimits> = {}, forMs = 1_000_000) {
  let notes: PoolNotes = {};
  for (let now = 0; now <= forMs; now += 1_000) {
    const decision = decidePoolSize({ ...LIMITS, ...limits }, { now, workers, isBlind: false }, notes);
    if (decision.grow > 0) return { at: now, grow: decision.grow };
    if (decision.retire !== undefined) return { at: now, retire: decision.retire };
    notes = decision.notes;
  }
  return undefined;
}

describe('a pool grows', () => {
  it('to its least size at once, also when it knows nothing', () => {
    expect(firstStep([], { minWorkers: 3 })).toEqual({ at: 0, grow: 3 });
    expect(firstStep([serving(0), leaving(1)], { minWorkers: 3 })).toEqual({ at: 0, grow: 2 });
    const blind = decidePoolSize(LIMITS, { now: 0, workers: [], isBlind: true }, {});
    expect(blind.grow).toBe(1);
  });

  it.each([
    [1, 1],
    [10, 1],
    [11, 2],
    [31, 4],
    [4_000, 4],
  ])('by as many workers as have room for %i waiting lanes: %i', (waiting, grow) => {
    expect(firstStep([serving(0, { running: 10, waiting })])).toEqual({ at: 0, grow });
  });

  it('by no more than those that come do not have room for', () => {
    const full = serving(0, { running: 10, waiting: 20 });
    expect(firstStep([full, coming(1), coming(2)], {}, 10_000)).toBeUndefined();
    expect(firstStep([full, coming(1)], {}, 0)).toEqual({ at: 0, grow: 1 });
    // One that has just come has not yet taken over what the first one told.
    expect(firstStep([full, serving(1, {}, -4_000), serving(2, {}, -4_000)])).toEqual({ at: 1_000, grow: 2 });
    // At a start with a backlog no worker gives shards away.
    expect(firstStep([serving(0, { running: 10, waiting: 20 }, 0)])).toEqual({ at: 0, grow: 2 });
  });

  it('by one when an event loop is saturated for a while, up to the number of cores', () => {
    const hot = serving(0, { busy: 0.95 });
    expect(firstStep([hot])).toEqual({ at: 5_000, grow: 1 });
    expect(firstStep([hot, serving(1), serving(2)])).toEqual({ at: 5_000, grow: 1 });
    expect(firstStep([hot, ...[1, 2, 3].map((slot) => serving(slot, { busy: 0.5 }))])).toBeUndefined();
    expect(firstStep([serving(0, { busy: 0.85 })])).toBeUndefined();
  });

  it('when its only worker hangs, on one core too', () => {
    expect(firstStep([serving(0, 'silent')], { cores: 1 })).toEqual({ at: 5_000, grow: 1 });
    expect(firstStep([serving(0, 'silent'), serving(1, 'silent')], { cores: 1 })).toBeUndefined();
  });

  it('never beyond its greatest size, and those that end their last turns count', () => {
    const full = { running: 10, waiting: 100 };
    expect(firstStep([serving(0, full), serving(1, full)], { maxWorkers: 2 })).toBeUndefined();
    expect(firstStep([serving(0, full), leaving(1)], { maxWorkers: 2 })).toBeUndefined();
  });
});

describe('a pool shrinks', () => {
  it('by the last one without turns, when fewer have been enough for the whole timeout', () => {
    expect(firstStep([serving(0), serving(1), serving(2)])).toEqual({ at: 60_000, retire: 2 });
    expect(firstStep([serving(0), serving(1), serving(2, { running: 1 })])).toEqual({ at: 60_000, retire: 1 });
  });

  it('only with room to spare for what runs', () => {
    const running = (...each: number[]) => firstStep(each.map((running, slot) => serving(slot, { running })));
    expect(running(7, 0)).toEqual({ at: 60_000, retire: 1 });
    expect(running(8, 0)).toBeUndefined();
    expect(firstStep([serving(0, { busy: 0.5 }), serving(1, { busy: 0.3 })])).toBeUndefined();
    expect(firstStep([serving(0, { busy: 0.5 }), serving(1, { busy: 0.2 })])).toMatchObject({ at: 60_000 });
  });

  it('when each of them always has a turn: later, by the one with the fewest', () => {
    const workers = [serving(0, { running: 3 }), serving(1, { running: 1 }), serving(2, { running: 2 })];
    expect(firstStep(workers)).toEqual({ at: 300_000, retire: 1 });
  });

  it('first by one that never gets ready, and not by one that has just crashed', () => {
    expect(firstStep([serving(0), coming(1), serving(2)])).toEqual({ at: 60_000, retire: 1 });
    expect(firstStep([serving(0), coming(1, 30_000), serving(2)], {}, 60_000)).toEqual({ at: 60_000, retire: 2 });
  });

  it('not while a worker hangs, nor below its least size', () => {
    expect(firstStep([serving(0), serving(1, 'silent')], { cores: 2 })).toBeUndefined();
    expect(firstStep([serving(0), serving(1)], { minWorkers: 2 })).toBeUndefined();
  });

  it('begins to count anew whenever there was need, after each that ended, and after a time without news', () => {
    const idle = [serving(0), serving(1), serving(2)];
    const breaks: [string, readonly PoolWorker[], boolean][] = [
      ['need', [serving(0, { running: 10, waiting: 1 }), serving(1), serving(2)], false],
      ['no news', idle, true],
    ];
    for (const [title, workers, isBlind] of breaks) {
      const notes = { calmSince: 0 };
      const during = decidePoolSize({ ...LIMITS, maxWorkers: 3 }, { now: 59_000, workers, isBlind }, notes);
      expect([title, during]).toEqual([title, { grow: 0, notes: during.notes }]);
      expect([title, during.notes.calmSince]).toEqual([title, undefined]);
    }
    const retired = decidePoolSize(LIMITS, { now: 60_000, workers: idle, isBlind: false }, { calmSince: 0 });
    expect(retired).toEqual({ grow: 0, retire: 2, notes: {} });
  });
});

describe('whatever its workers tell', () => {
  const load = fc.record({
    running: fc.nat(12),
    waiting: fc.nat(15),
    busy: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  const step = fc.record({
    loads: fc.array(fc.option(load, { nil: undefined }), { minLength: 5, maxLength: 5 }),
    isBlind: fc.boolean(),
    /** Which of those that come get ready, and which of those that leave have left. */
    moved: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
    repeats: fc.integer({ min: 1, max: 100 }),
  });

  it('a pool stays within its limits and ends no worker sooner than a timeout after it grew', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.integer({ min: 1, max: 5 }), (steps, minWorkers) => {
        const limits = { ...LIMITS, minWorkers };
        const workers = new Map<number, PoolWorker>();
        let notes: PoolNotes = {};
        let now = 0;
        let grewAt = 0;
        for (const { loads, isBlind, moved, repeats } of steps) {
          for (const [slot, { state }] of [...workers]) {
            if (moved[slot] !== true) continue;
            if (state === 'coming') workers.set(slot, { slot, state: 'serving', since: now });
            if (state === 'leaving') workers.delete(slot);
          }
          for (let i = 0; i < repeats; i++, now += 1_000) {
            const seen = [...workers.values()].map((worker) =>
              worker.state === 'serving' ? { ...worker, load: loads[worker.slot] } : worker,
            );
            const decision = decidePoolSize(limits, { now, workers: seen, isBlind }, notes);
            notes = decision.notes;
            const free = [0, 1, 2, 3, 4].filter((slot) => !workers.has(slot)).slice(0, decision.grow);
            expect(free.length).toBe(decision.grow);
            for (const slot of free) workers.set(slot, { slot, state: 'coming', since: now });
            if (decision.grow > 0) grewAt = now;
            if (decision.retire !== undefined) {
              expect(now - grewAt).toBeGreaterThanOrEqual(limits.idleTimeoutMs);
              workers.set(decision.retire, { slot: decision.retire, state: 'leaving', since: now });
            }
            const wanted = [...workers.values()].filter(({ state }) => state !== 'leaving').length;
            expect(wanted).toBeGreaterThanOrEqual(Math.min(minWorkers, 5 - (workers.size - wanted)));
            expect(workers.size).toBeLessThanOrEqual(limits.maxWorkers);
          }
        }
      }),
      { numRuns: 100 },
    );
  });
});
