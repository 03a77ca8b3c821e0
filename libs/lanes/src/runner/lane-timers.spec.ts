import { describe, expect, it } from 'vitest';
import { ManualClock } from '../scenarios/lane-runner.fixture.js';
import { HOME } from '../lane/lane.fixture.js';
import { Lane } from '../lane/lane.js';
import { LaneTimers } from './lane-timers.js';

function setUp() {
  const clock = new ManualClock();
  const timers = new LaneTimers(clock);
  const woken: string[] = [];
  const lanes = { a: new Lane('main.a', HOME), b: new Lane('main.b', HOME) };
  const set = (name: 'a' | 'b', inMs: number | undefined): void => {
    const now = clock.now();
    timers.set(lanes[name], inMs === undefined ? undefined : now + inMs, now, () => woken.push(name));
  };
  return { clock, timers, lanes, woken, set };
}

describe('LaneTimers', () => {
  it('wakes each lane at its time, once', async () => {
    const { clock, woken, set } = setUp();
    set('a', 200);
    set('b', 100);
    await clock.advance(99);
    expect(woken).toEqual([]);
    await clock.advance(1);
    expect(woken).toEqual(['b']);
    await clock.advance(1_000);
    expect(woken).toEqual(['b', 'a']);
  });

  it('has one timer per lane: the latest wish counts, sooner or later', async () => {
    const { clock, woken, set } = setUp();
    for (const inMs of [100, 300, 200]) set('a', inMs);
    await clock.advance(199);
    expect(woken).toEqual([]);
    await clock.runOut();
    expect(woken).toEqual(['a']);
    expect(clock.now()).toBe(1_200);
  });

  it.each<[string, number | undefined]>([
    ['none', undefined],
    ['now', 0],
    ['a past one', -5],
  ])('has nothing to wait for when the time is %s, also no more', async (_title, inMs) => {
    const { clock, woken, set } = setUp();
    set('a', 100);
    set('b', 100);
    set('a', inMs);
    await clock.runOut();
    expect(woken).toEqual(['b']);
  });

  it('wakes early rather than at once when the time lies beyond what a timer can hold', async () => {
    const { clock, woken, set } = setUp();
    set('a', 2 ** 40);
    await clock.runOut();
    expect(woken).toEqual(['a']);
    expect(clock.now()).toBe(1_000 + 2 ** 31 - 1);
  });

  it('does not wake a lane that was cancelled, and keeps the others; it can be set again', async () => {
    const { clock, timers, lanes, woken, set } = setUp();
    timers.cancel(lanes.a);
    set('a', 100);
    set('b', 100);
    timers.cancel(lanes.a);
    timers.cancel(lanes.a);
    await clock.runOut();
    expect(woken).toEqual(['b']);
    set('a', 5);
    await clock.runOut();
    expect(woken).toEqual(['b', 'a']);
  });

  it('may be set anew by the lane that it wakes', async () => {
    const clock = new ManualClock();
    const timers = new LaneTimers(clock);
    const lane = new Lane('main.a', HOME);
    const times: number[] = [];
    const wake = (): void => {
      times.push(clock.now());
      if (times.length < 3) timers.set(lane, clock.now() + 10, clock.now(), wake);
    };
    timers.set(lane, 1_010, 1_000, wake);
    await clock.runOut();
    expect(times).toEqual([1_010, 1_020, 1_030]);
  });
});
