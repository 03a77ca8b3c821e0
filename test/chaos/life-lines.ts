import type { LifeLine, StartLine } from './history.js';
import type { MembershipWatch } from './membership-watch.js';
import type { StoredStart } from './read-history.js';
import type { Life } from './seats.js';
import { machineTimeOf } from './wall-clock.js';

/** The processes of workers, each with its incarnation if it has ever been seen. */
export type Incarnations = readonly (readonly [Life, string | undefined])[];

/** Which incarnation was which process: the one of its worker that was first seen in its time. */
export function incarnationsOf(lives: readonly Life[], { renewals }: MembershipWatch): Incarnations {
  const seen = [...renewals].map(([incarnation, renewedAt]) => ({
    incarnation,
    worker: incarnation.slice(0, incarnation.indexOf('/')),
    firstAt: renewedAt[0] ?? 0,
  }));
  return lives.flatMap((life) => {
    const { worker, startedAt, endedAt: end = Number.POSITIVE_INFINITY } = life;
    if (worker === undefined) return [];
    const own = seen.find((one) => one.worker === worker && one.firstAt >= startedAt && one.firstAt <= end);
    return [[life, own?.incarnation] as const];
  });
}

export function lifeLines(incarnations: Incarnations, { renewals }: MembershipWatch): LifeLine[] {
  return incarnations.map(([life, incarnation]): LifeLine => {
    const { name, startedAt, endedAt, stopped, cutOff, toldToStopAt } = life;
    return {
      ...{ name, startedAt, stopped, cutOff, renewedAt: renewals.get(incarnation ?? '') ?? [] },
      ...(endedAt === undefined ? {} : { endedAt }),
      ...(toldToStopAt === undefined ? {} : { toldToStopAt }),
      ...(incarnation === undefined ? {} : { incarnation }),
    };
  });
}

/** Their times are of the clocks of their workers. */
export function startLines(starts: readonly StoredStart[], incarnations: Incarnations): StartLine[] {
  const clocks = new Map(incarnations.map(([{ clock }, incarnation]) => [incarnation, clock]));
  return starts.map(({ storedAt, ...start }) => {
    const shifts = clocks.get(start.incarnation)?.shifts ?? [];
    return { ...start, at: machineTimeOf(start.at, storedAt, shifts) };
  });
}
