import type { WorkSize } from './work.js';

export interface BenchOptions extends WorkSize {
  /** How often each side of each part runs; the median counts. */
  readonly runs: number;
  /** The most sessions of the part growth. */
  readonly growthSessions: number;
  /** Each of its sizes has so many times the sessions of the one before. */
  readonly growthFactor: number;
  /** Turns that each of its figures is taken over. */
  readonly growthTurns: number;
  /** New sessions of the part flood, a message of each. */
  readonly floodSessions: number;
  /** Messages of the one session that has too many, in the part hot-session. */
  readonly hotMessages: number;
  /** Time to live of a member in the parts ownership and failover - ms. */
  readonly ttlMs: number;
  /** How often a worker is killed with its node, in the part failover. */
  readonly failoverRounds: number;
  /** Where profiles of our services are written; unset = none. */
  readonly profileDir?: string | undefined;
  /** Tells people what is going on. */
  readonly say: (line: string) => void;
}
