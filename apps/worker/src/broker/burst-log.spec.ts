import { expect, it } from 'vitest';
import type { Logger } from '#telemetry';
import { ManualClock } from '#testing';
import { BurstLog } from './burst-log.js';

function setUp() {
  const clock = new ManualClock();
  const lines: object[] = [];
  const take = (fields: object): void => void lines.push(fields);
  const log: Logger = { debug: take, info: take, warn: take, error: take, child: () => log };
  return { clock, lines, burst: new BurstLog({ log, clock, level: 'info', message: 'dropped' }) };
}

it('writes the first lines of a second, and one line that counts ten thousand more', async () => {
  const { clock, lines, burst } = setUp();
  for (let i = 0; i < 10_010; i++) burst.line(`s${i % 7}`, { i });
  expect(lines).toEqual(Array.from({ length: 10 }, (_, i) => ({ i })));
  await clock.advance(999);
  expect(lines.length).toBe(10);
  await clock.advance(1);
  expect(lines.slice(10)).toEqual([{ more: 10_000, sessions: 7 }]);
  burst.line('s', { i: 'later' });
  expect(lines.at(-1)).toEqual({ i: 'later' });
});

it('writes every line when few come', async () => {
  const { clock, lines, burst } = setUp();
  for (let i = 0; i < 50; i++) {
    burst.line('s', { i });
    await clock.advance(101);
  }
  expect(lines).toEqual(Array.from({ length: 50 }, (_, i) => ({ i })));
});

it('writes the count when no more lines come, and leaves no timer', async () => {
  const { clock, lines, burst } = setUp();
  for (let i = 0; i < 12; i++) burst.line('s', { i });
  burst.flush();
  expect(lines.at(-1)).toEqual({ more: 2, sessions: 1 });
  const now = clock.now();
  await clock.runOut();
  expect([clock.now(), lines.length]).toEqual([now, 11]);
});
