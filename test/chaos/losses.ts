import type { Call, History, LifeLine, Span } from './history.js';

/** Whether the process that made a call was lost by then: killed, told to stop, or silent beyond its time to live. */
export type Losses = (call: Pick<Call, 'life' | 'startedAt'>, time: number) => boolean;

/** A request that was sent before its process was stopped may be seen a moment later. */
const SEEN_LATE_MS = 200;
/**
 * A link that works again is used again by then. What is silent for longer has another cause, and that is no loss of the
 * process.
 */
const RECONNECTED_WITHIN_MS = 1_600;

/**
 * By what was done to the process, and not by its renewals alone: an election and an outage silence a process as a stop does,
 * and excuse nothing. A stop counts from the renewal before it to the one after it.
 */
export function lossesOf({ lives, ttlMs, renewMs }: Pick<History, 'lives' | 'ttlMs' | 'renewMs'>): Losses {
  const byName = new Map(lives.map((life) => [life.name, life]));
  // Renewals are seen late, and each process ends its own time early.
  const leastMs = ttlMs - renewMs;
  const silentFrom = ({ renewedAt }: LifeLine, { from }: Span): number =>
    Math.max(renewedAt.findLast((at) => at <= from) ?? from, from - 2 * renewMs);
  const silentTo = ({ renewedAt }: LifeLine, { to }: Span): number =>
    Math.min(renewedAt.find((at) => at > to) ?? Number.POSITIVE_INFINITY, to + RECONNECTED_WITHIN_MS + renewMs);
  return ({ life: name, startedAt }, time) => {
    const life = byName.get(name);
    if (life === undefined) return false;
    if ((life.endedAt ?? time + 1) <= time || (life.toldToStopAt ?? time + 1) <= time) return true;
    return [...life.stopped, ...life.cutOff].some(
      (span) =>
        span.from <= time &&
        span.to >= startedAt - SEEN_LATE_MS &&
        Math.min(time, silentTo(life, span)) - silentFrom(life, span) >= leastMs,
    );
  };
}
