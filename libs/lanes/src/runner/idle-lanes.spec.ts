import { expect, it } from 'vitest';
import { IdleLanes, type IdleLimits } from './idle-lanes.js';
import { ManualClock } from '../scenarios/lane-runner.fixture.js';
import { HOME, loaded } from '../lane/lane.fixture.js';
import { Lane } from '../lane/lane.js';

function lane(name: string, bytes = 10): Lane {
  const made = new Lane(`main.${name}`, HOME);
  made.open({ ...loaded(), bytes });
  return made;
}

function setUp(limits: Partial<IdleLimits> = {}) {
  const clock = new ManualClock();
  const evicted: string[] = [];
  const idle = new IdleLanes(
    { idleLanes: 3, idleBytes: 1_000, idleMs: 100, ...limits },
    clock,
    ({ key }) => void evicted.push(key.sessionToken),
  );
  return { clock, evicted, idle };
}

it('forgets the longest idle first when there are too many', () => {
  const { idle, evicted } = setUp();
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => lane(name)) as [Lane, Lane, Lane, Lane];
  for (const each of [a, b, c]) idle.add(each);
  idle.add(a);
  expect([evicted, idle.count]).toEqual([[], 3]);
  idle.add(d);
  expect([evicted, idle.count]).toEqual([['b'], 3]);
});

it('forgets as many as it takes when their heads are too large together', () => {
  const { idle, evicted } = setUp({ idleLanes: 100 });
  for (const name of ['a', 'b', 'c']) idle.add(lane(name, 300));
  idle.add(lane('d', 700));
  expect([evicted, idle.count]).toEqual([['a', 'b'], 2]);
  idle.add(lane('e', 2_000));
  expect([evicted, idle.count]).toEqual([['a', 'b', 'c', 'd', 'e'], 0]);
});

it('counts the bytes of one that has something to do again no more', () => {
  const { idle, evicted } = setUp();
  const a = lane('a', 900);
  idle.add(a);
  idle.delete(a);
  idle.delete(a);
  idle.add(lane('b', 900));
  expect([evicted, idle.count]).toEqual([[], 1]);
});

it('forgets at a sweep what has been idle for long, and only that', async () => {
  const { idle, evicted, clock } = setUp();
  const [a, b] = [lane('a'), lane('b')];
  idle.add(a);
  await clock.advance(60);
  idle.add(b);
  await clock.advance(39);
  idle.sweep();
  expect(evicted).toEqual([]);
  await clock.advance(1);
  idle.sweep();
  expect(evicted).toEqual(['a']);
  await clock.advance(60);
  idle.sweep();
  idle.sweep();
  expect([evicted, idle.count]).toEqual([['a', 'b'], 0]);
});
