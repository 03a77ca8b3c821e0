import type { History, LifeLine } from './history.js';

/** Whose membership stood when, by the renewals that were seen. */
export interface Memberships {
  /**
   * Whether a process may have been taken for dead rightly at `time`: others were seen nearly as long as a time to live
   * while nothing came from it, at some point since `since`. An outage of the broker silences everybody and is none.
   */
  brokeBefore(life: LifeLine, time: number, since: number): boolean;
  /** Which renewals were heard in the last times to live before `time`, in ms before it: for people who look for the cause. */
  heardBefore(life: LifeLine, time: number): string;
  /** How long after the end of its membership, in ms; not above 0 when it stood, or when that cannot be told. */
  lapsedFor(life: LifeLine, time: number): number;
}

const TOLD_TTLS = 4;
/**
 * A renewal is heard here a moment after it was sent: when a worker that was cut off is back, it may have begun before that.
 */
const HEARD_LATE_MS = 30;

export function membershipsOf({ lives, ttlMs, renewMs, blind }: History): Memberships {
  // The renewals around it may be seen late, and the first of others after an outage not at all.
  const silenceMs = ttlMs - 2 * renewMs;
  const pauseMs = 3 * renewMs;
  return {
    brokeBefore(life, time, since) {
      // What a cut lets through to us it may have kept from those who store it.
      const isCut = (at: number): boolean => life.cutOff.some(({ from, to }) => from <= at && at <= to);
      const own = life.renewedAt.filter((renewed) => renewed <= time && !isCut(renewed));
      const others = lives
        .filter((other) => other !== life)
        .flatMap(({ renewedAt }) => renewedAt)
        .filter((renewed) => renewed <= time && renewed >= since - ttlMs)
        .toSorted((a, b) => a - b);
      return [...own, time].some((end, i) => {
        const begin = own[i - 1] ?? life.startedAt;
        return (
          end >= since &&
          longestStretch([begin, ...others.filter((b) => b > begin && b < end), end], pauseMs) >= silenceMs
        );
      });
    },
    heardBefore(life, time) {
      const lately = ({ renewedAt }: LifeLine): string => {
        const heard = renewedAt.filter((at) => at <= time && time - at <= TOLD_TTLS * ttlMs);
        // Each is heard on every node.
        return [...new Set(heard.map((at) => Math.round(time - at)))].join(' ') || 'none';
      };
      const others = lives.filter(
        (other) => other !== life && other.startedAt <= time && (other.endedAt ?? time) >= time,
      );
      return [`its renewals ${lately(life)}`, ...others.map((other) => `${other.name} ${lately(other)}`)].join('; ');
    },
    lapsedFor(life, time) {
      const renewed = life.renewedAt.findLast((at) => at <= time + HEARD_LATE_MS);
      if (renewed === undefined) return 0;
      const isBlind = blind.some(({ from, to }) => from <= time && to + renewMs >= renewed);
      return isBlind ? 0 : time - renewed - ttlMs;
    },
  };
}

/** The longest time over which one of them followed the other closely. */
function longestStretch(times: readonly number[], pauseMs: number): number {
  let longest = 0;
  let begin = times[0] ?? 0;
  times.forEach((time, i) => {
    if (time - (times[i - 1] ?? time) > pauseMs) begin = time;
    longest = Math.max(longest, time - begin);
  });
  return longest;
}

/** What a process had decided before it was stopped goes out in the moment in which it goes on. */
const MOMENT_MS = 200;

/** It is stopped at that time, or goes on since a moment. */
export function wasJustStopped({ stopped }: LifeLine, time: number, momentMs = MOMENT_MS): boolean {
  return stopped.some(({ from, to }) => from <= time && time <= to + momentMs);
}
