import { performance } from 'node:perf_hooks';

/** Over less than this a share is chance. */
const SHORTEST_MS = 500;

/** Times of an event loop since its start, in milliseconds. */
export interface LoopTimes {
  readonly active: number;
  readonly idle: number;
}

/** How much of its time the event loop worked since it was last asked: at 1 every further turn only makes the others late. */
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
