import type { History, Violation } from '../history.js';
import { timeOutside } from '../spans.js';
import type { Holding, Holdings } from '../task-holdings.js';
import { MOST_TTL_MS } from '../tasks.js';

/** A renewal that its holder had sent may lie in a guard that is stopped; one that is older than this is not done any more. */
const UNDER_WAY_MS = 4_000;
const SLACK_MS = 1_000;

/**
 * G3: a holder that was killed blocks its task for its time to live at most, in seconds, by the guard's own entries. While
 * the broker stores nothing, no guard can end anything.
 */
export function checkTaskEnds(history: History, holdings: Holdings): Violation[] {
  const { calls, lives, records, guardClocksMs } = history;
  const ends = new Map(lives.map(({ name, endedAt }) => [name, endedAt]));
  const callsByToken = Map.groupBy(calls, ({ task }): string => `${task?.key} ${task?.token}`);
  const handed = new Map<string, number>(
    records.flatMap(({ at, record }) =>
      [record.run, ...(record.runs ?? [])].flatMap((run) =>
        (run?.tasks ?? []).map(({ key, token }) => [`${key} ${token}`, at] as const),
      ),
    ),
  );
  const unstored = [...history.blind, ...history.faults.filter(({ kind }) => kind === 'fill disk of broker')];
  const last = Math.max(...calls.map(({ startedAt }) => startedAt));
  return [...holdings.values()].flatMap(withEnds).flatMap(({ key, token, runId, endedAt }): Violation[] => {
    const name = `${key} ${token}`;
    const call = callsByToken.get(name)?.at(-1);
    const goneAt = call === undefined ? undefined : ends.get(call.life);
    // With its note the next attempt, at another worker, goes on with the holding.
    if (call === undefined || goneAt === undefined || (handed.get(name) ?? 0) >= call.startedAt) return [];
    const until = timeOutside(unstored, goneAt, UNDER_WAY_MS + MOST_TTL_MS + SLACK_MS + guardClocksMs);
    if (endedAt <= until || until > last) return [];
    const end = endedAt === Number.POSITIVE_INFINITY ? 'never ended' : `ended ${endedAt - until} ms later`;
    const says = `${key}: the holding of ${runId} had to end ${until - goneAt} ms after ${call.life} was gone, and ${end}`;
    return [{ invariant: 'G3', says, session: call.session, at: goneAt }];
  });
}

/**
 * A holding of a key ends by a step of its own, or in the next one: an attempt of its run goes on with it under another
 * token.
 */
function withEnds(ofKey: readonly Holding[]): (Holding & { readonly endedAt: number })[] {
  return ofKey.map((holding, i) => {
    const endedAt = holding.steps[0]?.at ?? ofKey[i + 1]?.from ?? Number.POSITIVE_INFINITY;
    return { ...holding, endedAt };
  });
}
