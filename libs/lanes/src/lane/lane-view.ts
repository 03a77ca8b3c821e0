import type { Head, RunInWork, SessionTokens } from '#contracts';
import type { Backlog } from '../backlog/backlog.js';
import type { InboxItem } from '../backlog/inbox-item.js';
import type { Batch } from '../turn-rules/batch.js';
import type { Handoff } from './handoff.js';

/**
 * What the parts of a lane see of it and of each other. A lane is made of its parts, and they ask it in turn: with the whole
 * lane as their type, each file of the lane would import every other one.
 */

/** Where a lane lives: the shard, as long as this process has it. */
export interface LaneHome {
  readonly shard: number;
  readonly state: 'open' | 'releasing' | 'closed';
  /** Everything that was stored when reading began was received. */
  readonly isCaughtUp: boolean;
  /** No more of it is read for now, or was for a while: something that is stored for its lanes may not be received yet. */
  readonly isBehind: boolean;
}

/** Where a lane stands among those that wait for a slot. */
export interface SlotPlace {
  /** It waits no more. */
  hasLeft: boolean;
}

/** A run, as other parts of its lane see it. */
export interface RunView {
  readonly next: RunInWork | undefined;
  readonly batch: Batch | undefined;
  readonly isEnding: boolean;
  readonly remainingParts: NonNullable<RunInWork['rest']>;
  readonly attemptInWork: RunInWork | undefined;
}

interface SerialView extends RunView {
  readonly claimedSeqs: readonly number[];
}

interface ConcurrentView {
  mayHaveBegun: (seq: number) => boolean;
  inRecord: (about: RunView | undefined, content: RunInWork | undefined) => RunInWork[];
}

interface TasksView {
  tookIntoTurn: (items: readonly InboxItem[]) => void;
}

/** The comments stand with the lane itself. */
export interface LaneView<R extends RunView = RunView> {
  readonly id: string;
  readonly key: SessionTokens;
  readonly home: LaneHome;
  readonly isOpen: boolean;
  readonly handoff: Handoff | undefined;
  readonly head: Head;
  readonly undecidedFrom: number | undefined;
  readonly maxBatch: number;
  readonly wallAheadMs: number;
  readonly lastArrivalAt: number;
  busyUntil: number;
  readonly backlog: Backlog;
  readonly serialWaiting: readonly InboxItem[];
  readonly concurrentWaiting: readonly InboxItem[];
  readonly hasConcurrent: boolean;
  readonly hasConcurrentRuns: boolean;
  readonly running: readonly R[];
  readonly frozenRuns: readonly R[];
  readonly serial: SerialView;
  readonly concurrent: ConcurrentView;
  readonly tasks: TasksView | undefined;
  readUpTo: (now: number) => number;
}
