import type { History, Violation } from '../history.js';
import { isHealthy, kindOf } from '../sessions.js';
import { at } from '../session-history.js';
import { timeIn } from '../spans.js';

/** No probe has a task: a guard that is away is no excuse. Nor is a wall clock that jumps. */
const isNoExcuse = ({ kind, target }: History['faults'][number]): boolean =>
  target.startsWith('guard-') || kind.startsWith('jump clock');
/** Beside faults: nearly at once, but other load may be on the machine. */
const CALM_WAIT_MS = 5_000;
/** Beside takeovers, each of which takes the time to live and two seconds. */
const LONGEST_WAIT_MS = 37_000;
/** One may meet the next fault, and an outage behind it another one. */
const TAKEOVERS = 4;
const HEALED_AFTER_MS = 6_000;

/** L5: a quick question waits for no other session, however long others take, and answers come while long turns run. */
export function checkProbes({ accepted, calls, faults, ttlMs }: History): Violation[] {
  const firstCall = new Map<string, number>();
  for (const { session, startedAt } of calls) {
    if (!firstCall.has(session)) firstCall.set(session, startedAt);
  }
  const excuses = faults.filter((fault) => !isNoExcuse(fault));
  const found: Violation[] = [];
  for (const { session, at: acceptedAt, duplicate } of accepted) {
    const calledAt = firstCall.get(session);
    if (kindOf(session) !== 'probe' || duplicate || calledAt === undefined) continue;
    const waited = calledAt - acceptedAt;
    const calm = waited - timeIn(excuses, acceptedAt, calledAt, HEALED_AFTER_MS + ttlMs);
    if (calm <= CALM_WAIT_MS && waited <= LONGEST_WAIT_MS + TAKEOVERS * ttlMs) continue;
    found.push({
      invariant: 'L5',
      says: `${session} waited ${waited} ms for its turn, ${calm} ms of it beside any fault`,
      session,
      at: acceptedAt,
    });
  }
  return found;
}

/** How many of the probes were asked while a long turn of another session ran. */
export function probesDuringLongTurns({ calls }: Pick<History, 'calls'>): number {
  const long = calls.filter(({ startedAt, endedAt }) => endedAt - startedAt > 1_000);
  const probes = calls.filter(({ session }) => kindOf(session) === 'probe');
  return probes.filter((probe) =>
    long.some(({ startedAt, endedAt }) => startedAt < probe.startedAt && probe.endedAt < endedAt),
  ).length;
}

/** L6: sessions whose agent fails are no harm to others: what is healthy succeeds. */
export function checkHealthy({ records }: History): Violation[] {
  return records.flatMap((line): Violation[] => {
    const { session, record } = line;
    if (record.kind !== 'turn' || !isHealthy(session)) return [];
    if (record.status === 'succeeded' || record.status === 'cancelled') return [];
    // Ended by three kills in a row, the last of them while it ran alone: that is what a poisonous one looks like.
    if (record.error?.name === 'worker_crashed' && record.attempt > 2) return [];
    return [
      { invariant: 'L6', says: `${at(line)} ended ${record.status}: ${record.error?.name} ${record.error?.message}` },
    ];
  });
}

/** Dead messages are kept for people to look at. */
export function checkDead({ records, dead }: History): Violation[] {
  const kept = new Set(dead.map(({ session, seq }) => `${session} ${seq}`));
  return records.flatMap((line) =>
    line.record.messages
      .filter(({ seq, decision }) => decision === 'dead' && !kept.has(`${line.session} ${seq}`))
      .map(({ id }): Violation => ({ invariant: 'L3', says: `${at(line)} calls ${id} dead, and it is not kept` })),
  );
}
