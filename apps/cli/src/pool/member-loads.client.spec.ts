import { expect, it } from 'vitest';
import type { MemberStore } from '#shards';
import { ManualClock } from '#testing';
import { MemberLoads } from './member-loads.client.js';

type Listener = Parameters<MemberStore['onWrite']>[0];

function setUp() {
  const clock = new ManualClock();
  const connection = { isUp: true, onUp: (listener: () => void) => ((up = listener), () => {}) };
  let up = (): void => {};
  let tell: Listener = () => {};
  const loads = new MemberLoads(connection, { onWrite: (listener) => ((tell = listener), () => {}) }, clock);
  const member = (more: object) => ({ v: 1 as const, incarnation: 'p-1/a', draining: false, ...more });
  return {
    clock,
    connection,
    loads,
    up: () => up(),
    tell: (id: string, more?: object) => tell(id, more && member(more)),
  };
}

it('keeps what each worker told last, and when; nothing of one that has left or tells no load', async () => {
  const { loads, tell, clock } = setUp();
  const start = clock.monotonic();
  expect(loads.of('p-1')).toBeUndefined();
  tell('p-1', { running: 1, waiting: 2, busy: 0.5, capacity: 7 });
  await clock.advance(500);
  tell('p-2', { running: 0, waiting: 0, busy: 0 });
  expect(loads.of('p-1')).toEqual({ running: 1, waiting: 2, busy: 0.5, at: start });
  expect(loads.of('p-2')).toEqual({ running: 0, waiting: 0, busy: 0, at: start + 500 });
  tell('p-1');
  tell('p-2', { running: 1 });
  expect([loads.of('p-1'), loads.of('p-2')]).toEqual([undefined, undefined]);
});

it('knows since when it hears', async () => {
  const { loads, connection, up, clock } = setUp();
  const start = clock.monotonic();
  await clock.advance(500);
  expect(loads.hearsSince).toBe(start);
  connection.isUp = false;
  expect(loads.hearsSince).toBeUndefined();
  await clock.advance(500);
  connection.isUp = true;
  up();
  await clock.advance(500);
  expect(loads.hearsSince).toBe(start + 1_000);
});
