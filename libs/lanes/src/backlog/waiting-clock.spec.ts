import { expect, it } from 'vitest';
import { WaitingClock } from './waiting-clock.js';

it('counts the wait of a message from when it was noticed, and only while the clock runs', () => {
  const clock = new WaitingClock();
  const [first, second] = [{}, {}];
  clock.set(100, 0);
  clock.notice([first], 10);
  expect([clock.waitedMs(first, 30), clock.waitedMs(second, 30), clock.waitedMs(second, 60)]).toEqual([20, 0, 0]);
  clock.notice([first, second], 60);
  expect([clock.waitedMs(first, 500), clock.waitedMs(second, 500)]).toEqual([90, 40]);
  clock.set(undefined, 500);
  expect(clock.waitedMs(first, 900)).toBe(90);
});
