import { describe, expect, it } from 'vitest';
import type { Clock } from '#contracts';
import type { LaneRunner } from '#lanes';
import { silentLogger, type Logger } from '#telemetry';
import { WorkerLifecycle, type WorkerParts } from './worker-lifecycle.js';

const DRAIN_MS = 30_000;
const LAST_WORDS_MS = 2_000;

/** Runs everything that waits only for promises. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Fires timers when the spec says so. */
class Timers {
  readonly set: { readonly delayMs: number; readonly fn: () => void }[] = [];
  readonly clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    after: (delayMs, fn) => {
      const timer = { delayMs, fn };
      this.set.push(timer);
      return () => void (this.set.includes(timer) && this.set.splice(this.set.indexOf(timer), 1));
    },
  };

  get delays(): number[] {
    return this.set.map(({ delayMs }) => delayMs);
  }

  async fire(): Promise<void> {
    this.set.shift()?.fn();
    await settled();
  }
}

type Step = 'make' | 'join' | 'give away' | 'end' | 'hand back' | 'leave';

/** A worker whose steps end when the spec says so, with the steps that began and ended. */
function setUp() {
  const timers = new Timers();
  const calls: string[] = [];
  const ends = new Map<Step, { pass: () => void; fail: (error: Error) => void }>();
  const step = (name: Step): Promise<void> => {
    calls.push(name);
    return new Promise((pass, fail) => void ends.set(name, { pass, fail }));
  };
  const lanes = {
    running: 3,
    work: { whenIdle: () => step('end'), handBackAll: () => step('hand back') },
  } as unknown as LaneRunner;
  const parts: WorkerParts = {
    lanes,
    join: () => step('join'),
    giveShardsAway: () => step('give away'),
    leave: () => step('leave'),
    stopCommits: () => void calls.push('stop commits'),
  };
  const warned: object[] = [];
  const log: Logger = { ...silentLogger, warn: (fields: object) => void warned.push(fields) };
  const agents: unknown[] = [];
  const lifecycle = new WorkerLifecycle({
    ...{ drainMs: DRAIN_MS, clock: timers.clock, log },
    makeParts: async (given) => {
      agents.push(given);
      await step('make');
      return parts;
    },
  });
  const end = async (name: Step): Promise<void> => {
    ends.get(name)?.pass();
    await settled();
  };
  const fail = async (name: Step): Promise<void> => {
    ends.get(name)?.fail(new Error(`${name} failed`));
    await settled();
  };
  return { timers, calls, warned, agents, lifecycle, end, fail };
}

async function started() {
  const parts = setUp();
  const starting = parts.lifecycle.start(new Map());
  await parts.end('make');
  await parts.end('join');
  await starting;
  parts.calls.length = 0;
  return parts;
}

describe('a worker that starts', () => {
  it('is built with its agents, and has started when it owns its shards', async () => {
    const { calls, agents, lifecycle, end } = setUp();
    const given = new Map();
    let isStarted = false;
    void lifecycle.start(given).then(() => (isStarted = true));
    await settled();
    expect([agents, calls]).toEqual([[given], ['make']]);
    await end('make');
    expect([calls, isStarted]).toEqual([['make', 'join'], false]);
    await end('join');
    expect(isStarted).toBe(true);
  });

  it('that cannot join does not start, and says why', async () => {
    const { lifecycle, end, fail } = setUp();
    const starting = lifecycle.start(new Map());
    starting.catch(() => {});
    await end('make');
    await fail('join');
    await expect(starting).rejects.toThrow('join failed');
  });
});

describe('a worker that stops', () => {
  it('gives its shards away first, then waits for its turns, leaves, and stops its commits last', async () => {
    const { timers, calls, warned, lifecycle, end } = await started();
    let isStopped = false;
    void lifecycle.stop().then(() => (isStopped = true));
    await settled();
    expect([calls, timers.delays]).toEqual([['give away'], [DRAIN_MS]]);
    await end('give away');
    expect(calls).toEqual(['give away', 'end']);
    await end('end');
    expect([calls, timers.delays]).toEqual([['give away', 'end', 'leave'], [LAST_WORDS_MS]]);
    expect(isStopped).toBe(false);
    await end('leave');
    expect(calls).toEqual(['give away', 'end', 'leave', 'stop commits']);
    expect([isStopped, timers.delays, warned]).toEqual([true, [], []]);
  });

  it('aborts running turns when the budget is over, and hands them back so that they run again', async () => {
    const { timers, calls, warned, lifecycle, end } = await started();
    const stopping = lifecycle.stop();
    await end('give away');
    await timers.fire();
    expect(warned).toEqual([{ running: 3, drainMs: DRAIN_MS }]);
    expect([calls, timers.delays]).toEqual([['give away', 'end', 'hand back'], [LAST_WORDS_MS]]);
    await end('hand back');
    expect(calls.at(-1)).toBe('leave');
    await end('leave');
    await stopping;
    expect([calls.at(-1), timers.delays]).toEqual(['stop commits', []]);
  });

  it('hands its turns back also while its shards cannot be given away, and waits for that a little longer', async () => {
    const { timers, calls, lifecycle, end } = await started();
    void lifecycle.stop();
    await timers.fire();
    expect(calls).toEqual(['give away', 'hand back']);
    await end('hand back');
    expect(calls).toEqual(['give away', 'hand back']);
    await end('give away');
    expect(calls).toContain('leave');
  });

  it('is not delayed by a broker that is away: each last step has its limit', async () => {
    const { timers, calls, lifecycle } = await started();
    let isStopped = false;
    void lifecycle.stop().then(() => (isStopped = true));
    await settled();
    for (const limitMs of [DRAIN_MS, LAST_WORDS_MS, LAST_WORDS_MS]) {
      expect([timers.delays, isStopped]).toEqual([[limitMs], false]);
      await timers.fire();
    }
    expect(calls).toEqual(['give away', 'hand back', 'leave', 'stop commits']);
    expect([isStopped, timers.delays]).toEqual([true, []]);
  });

  it('stops once, however often it is told to', async () => {
    const { calls, lifecycle, end } = await started();
    const both = Promise.all([lifecycle.stop(), lifecycle.stop()]);
    await end('give away');
    await end('end');
    await end('leave');
    await both;
    await lifecycle.stop();
    expect(calls).toEqual(['give away', 'end', 'leave', 'stop commits']);
  });

  it('before its start has nothing to do', async () => {
    const { timers, calls, lifecycle } = setUp();
    await lifecycle.stop();
    expect([calls, timers.delays]).toEqual([[], []]);
  });

  it('while it joins leaves too', async () => {
    const { calls, lifecycle, end } = setUp();
    void lifecycle.start(new Map());
    await end('make');
    void lifecycle.stop();
    await end('give away');
    await end('end');
    await end('leave');
    expect(calls).toEqual(['make', 'join', 'give away', 'end', 'leave', 'stop commits']);
  });
});
