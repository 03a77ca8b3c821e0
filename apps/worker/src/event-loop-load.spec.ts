import { expect, it } from 'vitest';
import { EventLoopLoad, type LoopTimes } from './event-loop-load.js';

it('returns the share since the last call, not of a single moment', () => {
  let times: LoopTimes = { active: 1_000, idle: 9_000 };
  const load = new EventLoopLoad(() => times);
  const after = (active: number, idle: number): number => {
    times = { active: times.active + active, idle: times.idle + idle };
    return load.share();
  };
  expect(after(500, 1_500)).toBe(0.25);
  expect(after(2_000, 0)).toBe(1);
  // Asked again at once: the last answer is repeated, and this moment counts towards the next.
  expect(after(0, 400)).toBe(1);
  expect(after(0, 1_600)).toBe(0);
});
