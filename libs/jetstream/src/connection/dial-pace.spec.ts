import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DialPace } from './dial-pace.js';

const WAIT_MS = 250;
const JITTER_MS = 250;

/** A client like nats.js: it dials when the wait has passed since the last dial by its wall clock, and otherwise waits. */
function dialsOf(servers: number, jumps: readonly number[], random: () => number): number[] {
  let monotonic = 0;
  let ahead = 1_000_000_000;
  const pace = new DialPace(WAIT_MS, JITTER_MS, () => monotonic, random);
  const lastConnect = Array.from({ length: servers }, () => 0);
  const dials: number[] = [];
  for (const [turn, jump] of jumps.entries()) {
    ahead += jump;
    const wait = pace.nextWaitMs();
    const now = monotonic + ahead;
    const server = turn % servers;
    const last = lastConnect[server] as number;
    if (last === 0 || last + wait <= now) {
      pace.dials(servers);
      lastConnect[server] = now;
      dials.push(monotonic);
    } else monotonic += Math.min(wait, last + wait - now);
  }
  return dials;
}

describe('dial pace', () => {
  it('dials again within the wait and its jitter, however far the wall clock is set back', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.constantFrom(-3_600_000, -300, -10)), {
          minLength: 40,
          maxLength: 80,
        }),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        (servers, jumps, random) => {
          const dials = dialsOf(servers, jumps, () => random);
          for (let i = servers; i < dials.length; i++) {
            const since = (dials[i] as number) - (dials[i - servers] as number);
            expect(since).toBeGreaterThanOrEqual(0);
            // One wait more when the clock was set back during a wait.
            expect(since).toBeLessThanOrEqual(2 * (WAIT_MS + JITTER_MS) * servers);
          }
          expect(dials.length).toBeGreaterThanOrEqual(jumps.length / (2 * servers + 2));
        },
      ),
    );
  });

  it('dials each server once without a wait, and then waits', () => {
    const dials = dialsOf(
      3,
      Array.from({ length: 12 }, () => 0),
      () => 0,
    );
    expect(dials.slice(0, 3)).toEqual([0, 0, 0]);
    expect(dials[3]).toBe(WAIT_MS);
  });
});
