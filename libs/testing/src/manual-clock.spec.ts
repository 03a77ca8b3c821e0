import { describe, expect, it } from 'vitest';
import { ManualClock, settled } from './manual-clock.js';

describe('a clock by hand', () => {
  it('fires timers in the order of their times, each at its time, as far as time has passed', async () => {
    const clock = new ManualClock();
    const start = clock.monotonic();
    const fired: [string, number][] = [];
    const note = (name: string) => () => void fired.push([name, clock.monotonic() - start]);
    clock.after(300, note('late'));
    clock.after(100, note('first'));
    clock.after(100, note('second'));
    await clock.advance(299);
    expect(fired).toEqual([
      ['first', 100],
      ['second', 100],
    ]);
    expect([clock.monotonic() - start, clock.waiting]).toEqual([299, 1]);
    await clock.advance(1);
    expect(fired.at(-1)).toEqual(['late', 300]);
  });

  it('runs everything that a timer started before the next timer, and fires timers that it set within the same time', async () => {
    const clock = new ManualClock();
    const happened: string[] = [];
    clock.after(10, () => {
      void settled().then(() => happened.push('what it began'));
      clock.after(10, () => happened.push('what it set'));
    });
    await clock.advance(20);
    expect(happened).toEqual(['what it began', 'what it set']);
  });

  it('fires no timer that was cancelled', async () => {
    const clock = new ManualClock();
    let fired = 0;
    const cancel = clock.after(10, () => fired++);
    clock.after(5, cancel);
    await clock.advance(20);
    expect([fired, clock.waiting]).toEqual([0, 0]);
  });

  it('runOut continues until no timer waits', async () => {
    const clock = new ManualClock();
    const start = clock.now();
    let left = 3;
    const again = (): void => void (left-- > 0 && clock.after(1_000, again));
    again();
    await clock.runOut();
    expect([left, clock.now() - start]).toEqual([-1, 3_000]);
  });

  it('lets its two clocks drift apart only as real clocks do', async () => {
    const clock = new ManualClock();
    const [wall, monotonic] = [clock.now(), clock.monotonic()];
    const passed = (): number[] => [clock.now() - wall, clock.monotonic() - monotonic];
    let fired = 0;
    clock.after(10, () => fired++);
    clock.setWall(-700);
    clock.sleep(1_000);
    expect(passed()).toEqual([300, 0]);
    clock.standStill(50);
    expect([...passed(), fired]).toEqual([350, 50, 0]);
    await clock.advance(0);
    expect([...passed(), fired]).toEqual([350, 50, 1]);
  });
});
