import { beginningsOf } from '../beginnings.js';
import type { Call, History, LifeLine, Violation } from '../history.js';
import { membershipsOf, wasJustStopped, type Memberships } from '../memberships.js';
import { wasOverOnArrival, type SessionHistory } from '../session-history.js';
import { isConcurrent } from '../sessions.js';

/** The agent sees that its caller has hung up a moment after the next call may come. */
const HANG_UP_SEEN_MS = 250;

/** L1: while the membership of its holder stands, at most one turn of a session runs. By the calls of the agent. */
export function checkSerialCalls(history: History, sessions: readonly SessionHistory[]): Violation[] {
  const memberships = membershipsOf(history);
  const isExcused = excusesOf(history, memberships);
  const lives = new Map(history.lives.map((life) => [life.name, life]));
  const found: Violation[] = [];
  for (const { session, calls: all, records } of sessions) {
    const calls = all.filter((call) => !wasOverOnArrival(call, records));
    calls.forEach((call, i) => {
      for (const later of calls.slice(i + 1)) {
        if (later.startedAt >= call.endedAt) break;
        if (call.isHungUp && later.startedAt >= call.endedAt - HANG_UP_SEEN_MS) break;
        if (isExcused(call, later)) continue;
        // Beside each other, but at one worker.
        if (isConcurrent(session) && call.life === later.life && call.runId !== later.runId) continue;
        const holder = lives.get(call.life);
        const heard = holder === undefined ? 'nothing' : memberships.heardBefore(holder, later.startedAt);
        const says = `${describe(session, call, later)} (heard, ms before: ${heard})`;
        found.push({ invariant: 'L1', says, session, at: later.startedAt });
      }
    });
  }
  return found;
}

/** Whether two calls of a session may overlap: the holder of the former was rightly taken for dead. */
function excusesOf(history: History, memberships: Memberships): (call: Call, later: Call) => boolean {
  const lives = new Map(history.lives.map((life) => [life.name, life]));
  const beginningOf = beginningsOf(history);
  const isGone = ({ endedAt }: LifeLine, time: number): boolean => endedAt !== undefined && endedAt <= time;
  return (call, later) => {
    const former = lives.get(call.life);
    const next = lives.get(later.life);
    if (former === undefined || next === undefined || former === next) return false;
    if (isGone(former, later.startedAt) || memberships.brokeBefore(former, later.startedAt, call.startedAt))
      return true;
    // Begun before its process was stopped, heard of when the successor was at work already.
    const begunAt = beginningOf(later) ?? (wasJustStopped(next, later.startedAt) ? 0 : later.startedAt);
    return isGone(next, later.startedAt) || memberships.brokeBefore(next, later.startedAt, begunAt);
  };
}

function describe(session: string, call: Call, later: Call): string {
  const end = call.isHungUp ? 'was hung up' : 'was answered';
  return (
    `${session}: call ${later.n} (attempt ${later.attempt} of ${later.runId}, by ${later.life}) began ` +
    `${later.startedAt - call.startedAt} ms after call ${call.n} (attempt ${call.attempt} of ${call.runId}, by ${call.life}), ` +
    `which ${end} ${call.endedAt - later.startedAt} ms later, and the membership of its holder stood`
  );
}
