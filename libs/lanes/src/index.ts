export { decide, emptyHead, isDecided } from './head.js';
export { LaneRunner } from './lane-runner.js';
export type { CutTurn, LoadedHead } from './lane.js';
export type { RecordStore, TurnRunner, TurnWork, WriteOutcome } from './lane-ports.js';
export type { TurnOutcome } from './settlement.js';
export type { TurnPolicy } from './turn-policy.js';
