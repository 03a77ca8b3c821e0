import type { Call, History } from './history.js';

/**
 * When the worker began the turn of a call, by what it announced; undefined when it could not. The request may come much
 * later: a process that is stopped in between sends it when it goes on.
 */
export function beginningsOf({ starts, lives }: History): (call: Call) => number | undefined {
  const incarnations = new Map(lives.map(({ name, incarnation }) => [name, incarnation]));
  const key = (runId: string, attempt: number, incarnation: string | undefined): string =>
    `${runId} ${attempt} ${incarnation}`;
  const times = Map.groupBy(starts, ({ runId, attempt, incarnation }) => key(runId, attempt, incarnation));
  return ({ runId, attempt, life, startedAt }) =>
    times
      .get(key(runId, attempt, incarnations.get(life)))
      ?.map(({ at }) => at)
      .findLast((at) => at <= startedAt);
}
