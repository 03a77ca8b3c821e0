import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ManualClock } from '#testing';
import { ElectedBucket, ElectedMember, RENEW_MS, TTL_MS, type Election } from './elections.fixture.js';

const MEMBERS = 3;
const WHOLE_MS = 75_000;
const RUNS = Number(process.env['ELECTIONS'] ?? 150);
/** Until two looks have found an absence, when nothing else is waited for. */
const CERTAIN_MS = 2_000;
/** Until the survivor's own renewal is through, and again as long for the renewals of all live members. */
const SETTLED_MS = 4_000;

const election = fc.record({
  pauseMs: fc.integer({ min: 0, max: 12_000 }),
  lastsMs: fc.integer({ min: 0, max: 14_000 }),
  lagsMs: fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: MEMBERS, maxLength: MEMBERS }),
});
const history = fc.record({
  elections: fc.array(election, { minLength: 1, maxLength: 3 }),
  startsMs: fc.array(fc.integer({ min: 0, max: RENEW_MS }), { minLength: MEMBERS, maxLength: MEMBERS }),
  killAtMs: fc.option(fc.integer({ min: 2 * TTL_MS, max: 45_000 })),
});

/** One after another; the first one when all members may judge. */
function toElections(drawn: readonly { pauseMs: number; lastsMs: number; lagsMs: number[] }[]): Election[] {
  let endMs = TTL_MS + RENEW_MS;
  return drawn.map(({ pauseMs, lastsMs, lagsMs }) => {
    const fromMs = endMs + pauseMs;
    endMs = fromMs + lastsMs;
    return { fromMs, untilMs: endMs, lagsMs };
  });
}

/** When the survivor must know of a death: a time to live after it, or soon after the leader answers the survivor again. */
function knownByMs(killedAtMs: number, survivor: number, elections: readonly Election[]): number {
  let byMs = killedAtMs + TTL_MS + CERTAIN_MS;
  for (const { fromMs, untilMs, lagsMs } of elections) {
    if (fromMs <= byMs) byMs = Math.max(byMs, untilMs + (lagsMs[survivor] ?? 0) + SETTLED_MS);
  }
  return byMs;
}

it('elections of the members’ bucket make no live member dead, and keep no dead one alive (L8)', async () => {
  await fc.assert(
    fc.asyncProperty(history, async ({ elections: drawn, startsMs, killAtMs }) => {
      const clock = new ManualClock();
      const elections = toElections(drawn);
      const bucket = new ElectedBucket(clock, clock.monotonic(), elections);
      const members = startsMs.map((_, number) => new ElectedMember(bucket, number));
      for (const member of members) {
        const others = members.filter((other) => other !== member);
        clock.after(startsMs[member.number] ?? 0, () => void member.run(others));
      }
      const [victim] = members;
      if (killAtMs !== null) clock.after(killAtMs, () => victim?.kill());
      await clock.advance(WHOLE_MS);
      for (const survivor of members) {
        if (survivor.killedAtMs !== undefined) continue;
        for (const other of members) {
          const deadSinceMs = survivor.deadSinceMs.get(other.number);
          if (other.killedAtMs === undefined) expect(deadSinceMs).toBeUndefined();
          else {
            const byMs = knownByMs(other.killedAtMs, survivor.number, elections);
            // A series of elections may delay this for longer than the whole.
            if (deadSinceMs === undefined && byMs > WHOLE_MS) continue;
            expect(deadSinceMs).toBeGreaterThan(other.killedAtMs);
            expect(deadSinceMs).toBeLessThanOrEqual(byMs);
          }
        }
      }
    }),
    { numRuns: RUNS },
  );
});
