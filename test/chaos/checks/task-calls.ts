import type { Call, History, LifeLine, Violation } from '../history.js';
import { wasJustStopped } from '../memberships.js';
import { kindOf } from '../sessions.js';
import { isTakenAway, type Holdings } from '../task-holdings.js';

/** The agent sees that its caller has hung up a moment after the next call may come. */
const HANG_UP_SEEN_MS = 250;
/** A guard that is there again is found by who asks for an answer. */
const GUARD_HEALED_MS = 5_000;

/**
 * G1 by the calls of the agent: an agent that works on a task was given it, and no other works on it meanwhile. A holder that
 * is cut off stops by its own clock, so only one that cannot is excused: its process is stopped, or was killed.
 */
export function checkTaskCalls(history: History, holdings: Holdings): Violation[] {
  const isExcused = excusesOf(history, holdings);
  const found = unguarded(history);
  // By so much one guard may end a holding before the time that another one gave it.
  const apartMs = 2 * history.guardClocksMs;
  const guarded = history.calls.filter(({ task }) => task !== undefined);
  for (const [key, unsorted] of Map.groupBy(guarded, ({ task }) => task?.key ?? '')) {
    const calls = unsorted.toSorted((a, b) => a.startedAt - b.startedAt);
    calls.forEach((call, i) => {
      for (const later of calls.slice(i + 1)) {
        if (later.startedAt >= call.endedAt - apartMs - (call.isHungUp ? HANG_UP_SEEN_MS : 0)) continue;
        if (isExcused(key, call, later)) continue;
        const says = `${key}: ${describe(later)} began ${call.endedAt - later.startedAt} ms before the end of ${describe(call)}`;
        found.push({ invariant: 'G1', says, session: later.session, at: later.startedAt });
      }
    });
  }
  return found;
}

/** A task that was wanted and is not there, or the other way round. */
function unguarded(history: History): Violation[] {
  const { inbox, calls } = history;
  const lines = new Map(inbox.map((line) => [line.seq, line]));
  const isTroubled = troublesOf(history);
  return calls.flatMap(({ n, session, messages, task, startedAt }): Violation[] => {
    const wanted = messages.map(({ seq }) => lines.get(seq)).find((line) => line?.task !== undefined);
    const mayDoWithout = wanted?.mayBeUnguarded === true && task === undefined && isTroubled(startedAt);
    // The messages of a handler's session are about one task, and some of them share a turn.
    const isAlone = messages.length === 1 || kindOf(session) === 'hands';
    if (mayDoWithout || (wanted?.task === task?.key && (wanted === undefined || isAlone))) return [];
    const says = `call ${n} of ${session} is about ${wanted?.task ?? 'no task'}, and was given ${task?.key ?? 'none'}`;
    return [{ invariant: 'G1', says, session, at: startedAt }];
  });
}

function troublesOf({ faults }: History): (time: number) => boolean {
  return (time) => faults.some(({ from, to }) => from <= time && time <= to + GUARD_HEALED_MS);
}

/** Whether two calls about a task may overlap: the former holding is over, and its process could not know. */
function excusesOf(history: History, holdings: Holdings): (key: string, call: Call, later: Call) => boolean {
  const { lives, guardClocksMs, inbox } = history;
  const isTroubled = troublesOf(history);
  const open = new Set(inbox.flatMap(({ seq, mayBeUnguarded }) => (mayBeUnguarded === true ? [seq] : [])));
  const byName = new Map(lives.map((life) => [life.name, life]));
  const isGone = (life: LifeLine, time: number): boolean => life.endedAt !== undefined && life.endedAt <= time;
  return (key, call, later) => {
    // A token goes over to another process only when the work under it has ended.
    if (call.task?.token === later.task?.token) return false;
    const old = (call.task?.token ?? 0) < (later.task?.token ?? 0) ? call : later;
    const life = byName.get(old.life);
    const time = later.startedAt;
    // A holder of an open task goes on when no guard answers it, though another worker may get the task then.
    if (old === call && old.messages.some(({ seq }) => open.has(seq)) && isTroubled(time)) return true;
    if (life !== undefined && (isGone(life, time) || wasJustStopped(life, time))) return true;
    const holding = holdings.get(key)?.find(({ token }) => token === old.task?.token);
    return holding !== undefined && isTakenAway(holding, time, guardClocksMs);
  };
}

function describe({ n, attempt, runId, life, task }: Call): string {
  return `call ${n} (attempt ${attempt} of ${runId}, by ${life}, token ${task?.token})`;
}
