import type { Clock, LaneEvent, SessionTokens } from '#contracts';
import type { Logger } from '#telemetry';
import type { IdleHeads } from './idle-heads.js';
import type { IdleLimits } from './idle-lanes.js';
import type { FormerOwners } from './handoffs.js';
import type { AheadSource, InboxSource, RecordStore, TurnRunner } from '../ports.js';
import type { ReadingLimits } from './reading-room.js';

/** What the lanes of a worker are given from outside, and how much they may keep. */
export interface LaneRunnerOptions {
  readonly store: RecordStore;
  readonly inbox: InboxSource;
  /** Of sessions whose lanes were forgotten. */
  readonly heads: IdleHeads;
  /** Absent: the caller reads all shards to their end, even when `hasRoom` answers false. */
  readonly ahead?: AheadSource;
  readonly turns: TurnRunner;
  readonly formerOwners: FormerOwners;
  readonly clock: Clock;
  readonly newCommitId: () => string;
  /** In [0, 1); spreads the backoffs. */
  readonly random: () => number;
  /** Incarnation of this worker process. */
  readonly worker: string;
  /** How many turns run at once. */
  readonly capacity: number;
  /** Whether this process certainly owns the shard now, by its own clock (L4). When it does again, `resume` is called. */
  readonly mayStart: (shard: number) => boolean;
  /** Told of what happens to messages and turns, as it happens. */
  readonly onEvent?: (key: SessionTokens, event: LaneEvent) => void;
  /** Runs whose good end no reader is told of, so that no event is made - default: none. Nearly every turn is one. */
  readonly isUntold?: (runId: string) => boolean;
  /** Default: `MEMORY_LIMITS`. */
  readonly memory?: MemoryLimits;
  /** How long messages wait for an agent that is missing until they end dead - ms - default 7 d. */
  readonly agentMissingMs?: number;
  readonly log: Logger;
}

export const AGENT_MISSING_MS = 7 * 24 * 60 * 60 * 1_000;

export interface MemoryLimits extends IdleLimits, ReadingLimits {
  /** For the bodies of waiting messages, over all lanes; what is beyond is read again when its turn comes. */
  readonly bodyBytes: number;
}

export const MEMORY_LIMITS: MemoryLimits = {
  bodyBytes: 64 * 1024 * 1024,
  openLanes: 100_000,
  idleLanes: 10_000,
  idleBytes: 64 * 1024 * 1024,
  idleMs: 60_000,
};
