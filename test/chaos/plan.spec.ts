import { expect, it } from 'vitest';
import { Dice } from './dice.js';
import { planFaults, type FaultKind } from './plan.js';
import { TIMES, type TimesName } from './times.js';

const SIZE = { ms: 600_000, workers: 4, ingresses: 2, guards: 2, nodes: 1, has: { networks: false, disks: false } };
const plan = (seed: number, times: TimesName) => planFaults(new Dice(seed), { ...SIZE, times: TIMES[times] });

it('the same seed has the same faults, and another one others', () => {
  expect(plan(1, 'short')).toEqual(plan(1, 'short'));
  expect(plan(1, 'short')).not.toEqual(plan(2, 'short'));
});

it.each(['short', 'default'] as const)('with %s times a pause is as long as its name says', (times) => {
  const { ttlMs, renewMs } = TIMES[times];
  const lasts = (kind: FaultKind): number[] =>
    plan(3, times).flatMap((fault) => (fault.kind === kind ? [fault.lastsMs] : []));
  for (const kind of ['pause worker beyond its time', 'cut all workers off'] as const) {
    expect(lasts(kind).length).toBeGreaterThan(0);
    expect(Math.min(...lasts(kind))).toBeGreaterThan(ttlMs);
  }
  // With the renewal before it that was nearly due.
  expect(Math.max(...lasts('pause worker briefly'))).toBeLessThan(ttlMs - renewMs);
});

it('clocks jump forward and back, by less than a renewal and by more than any wait', () => {
  const jumps = plan(4, 'short').flatMap(({ kind, jumpMs }) => (kind.startsWith('jump clock') ? [jumpMs] : []));
  expect(new Set(jumps.map(Math.sign))).toEqual(new Set([-1, 1]));
  expect(Math.min(...jumps.map(Math.abs))).toBeLessThan(TIMES.short.renewMs);
  expect(Math.max(...jumps.map(Math.abs))).toBeGreaterThan(TIMES.default.healedWithinMs);
});
