import type { Clock } from '#contracts';

/** A moment by two clocks: the monotonic one stands still while the machine sleeps, the wall clock may be set. */
export interface Moment {
  readonly wall: number;
  readonly monotonic: number;
}

export function momentOf(clock: Clock): Moment {
  return { wall: clock.now(), monotonic: clock.monotonic() };
}

/** Up to this much time has passed, by one of the clocks: for what must end in time, however the clocks behave (L4). */
export function atMostElapsedMs(since: Moment, clock: Clock): number {
  return Math.max(clock.now() - since.wall, clock.monotonic() - since.monotonic);
}

/** This much time has certainly passed: for what must not happen too early. The wall clock may have been set. */
export function certainlyElapsedMs(since: Moment, clock: Clock): number {
  return clock.monotonic() - since.monotonic;
}
