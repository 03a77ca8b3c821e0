import { performance } from 'node:perf_hooks';

/** Shortest time to measure over. Below it the share is noise. */
const SHORTEST_MS = 500;

/** Times of an event loop since its start, in milliseconds. */
export interface LoopTimes {
  readonly active: number;
  readonly idle: number;
}

/** Share of time that the event loop was busy since the last call. At 1, more turns only slow down the others. */
export class EventLoopLoad {
  private last: LoopTimes;
  private lastShare = 0;

  constructor(private readonly times: () => LoopTimes = () => performance.eventLoopUtilization()) {
    this.last = times();
  }

  /** From 0 to 1. */
  share(): number {
    const now = this.times();
    const active = now.active - this.last.active;
    const total = active + now.idle - this.last.idle;
    if (total < SHORTEST_MS) return this.lastShare;
    this.last = now;
    this.lastShare = Math.round((active / total) * 100) / 100;
    return this.lastShare;
  }
}
