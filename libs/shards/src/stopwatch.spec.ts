import { describe, expect, it } from 'vitest';
import { ManualClock } from '#testing';
import { atMostElapsedMs, certainlyElapsedMs, momentOf } from './stopwatch.js';

describe('what passed since a moment', () => {
  it('is the same for both questions while the clocks agree', async () => {
    const clock = new ManualClock();
    const since = momentOf(clock);
    await clock.advance(700);
    expect([atMostElapsedMs(since, clock), certainlyElapsedMs(since, clock)]).toEqual([700, 700]);
  });

  it('at most: by the clock that went further, when the machine slept or the wall clock was set forward (L4)', async () => {
    const clock = new ManualClock();
    const since = momentOf(clock);
    await clock.advance(100);
    clock.sleep(5_000);
    expect(atMostElapsedMs(since, clock)).toBe(5_100);
    clock.setWall(1_000);
    expect(atMostElapsedMs(since, clock)).toBe(6_100);
  });

  it('at most: does not shrink when the wall clock is set back (L4)', async () => {
    const clock = new ManualClock();
    const since = momentOf(clock);
    clock.setWall(-3_600_000);
    await clock.advance(900);
    expect(atMostElapsedMs(since, clock)).toBe(900);
  });

  it('certainly: does not grow when the wall clock was set forward, or the machine slept', async () => {
    const clock = new ManualClock();
    const since = momentOf(clock);
    await clock.advance(100);
    clock.setWall(3_600_000);
    clock.sleep(5_000);
    expect(certainlyElapsedMs(since, clock)).toBe(100);
  });
});
