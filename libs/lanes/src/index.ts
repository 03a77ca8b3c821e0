export type { Batch } from './batch.js';
export { decide, emptyHead, isDecided, type LoadedHead } from './head.js';
export { HeadTable } from './head-table.js';
export { IdleHeads } from './idle-heads.js';
export { describeRuns } from './lane-description.js';
export type { Holders } from './lane-holds.js';
export type {
  AheadSource,
  InboxSource,
  InboxPart,
  RecordStore,
  TurnRunner,
  TurnWork,
  WriteOutcome,
} from './lane-ports.js';
export type { CutTurn } from './lane-recovery.js';
export { LaneRunner } from './lane-runner.js';
export { keyOfLane, laneId } from './lane-id.js';
export type { LaneProgress } from './lane-table.js';
export type { Ending, StateChange, TurnOutcome } from './settlement.js';
export type { AttemptEnd, HoldingRun, Settled, TaskPorts } from './task-ports.js';
export type { TaskRef, TaskRefusal } from './task-ref.js';
export type { TurnPolicy } from './turn-policy.js';
