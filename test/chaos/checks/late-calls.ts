import { beginningsOf } from '../beginnings.js';
import type { Call, History, Violation } from '../history.js';
import { membershipsOf, wasJustStopped } from '../memberships.js';

/** From the look at the clock to the renewal that was seen, on a busy machine. */
const SLACK_MS = 1_000;

/** L4: a worker begins no turn when its membership has ended. */
export function checkLateCalls(history: History): Violation[] {
  const memberships = membershipsOf(history);
  const beginningOf = beginningsOf(history);
  const lives = new Map(history.lives.map((life) => [life.name, life]));
  return history.calls.flatMap((call): Violation[] => {
    const life = lives.get(call.life);
    const begunAt = beginningOf(call);
    // Without an announcement it may have been decided before the process was stopped.
    if (life === undefined || (begunAt === undefined && wasJustStopped(life, call.startedAt))) return [];
    const lateMs = memberships.lapsedFor(life, begunAt ?? call.startedAt);
    if (lateMs <= SLACK_MS) return [];
    return [{ invariant: 'L4', says: describe(call, lateMs), session: call.session, at: call.startedAt }];
  });
}

function describe({ n, session, life }: Call, lateMs: number): string {
  return `call ${n} of ${session} was begun by ${life} ${lateMs} ms after its membership had ended`;
}
