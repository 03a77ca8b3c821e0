import type { TurnCost } from './process-figures.js';

/** What a measurement must reach, as a ratio of its baseline in the same run. The numbers stand only here. */
export interface Target {
  readonly part: string;
  readonly baseline: string;
  readonly unit: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  /** As far as ours may lie above the baseline, in its unit. */
  readonly atMostAbove?: number;
}

/** What a ratio has to keep. */
export type Limits = Pick<Target, 'atLeast' | 'atMost'>;

export function limitsOf({ atLeast, atMost, atMostAbove }: Target, baseline: number): Limits {
  if (atMostAbove !== undefined) return { atMost: (baseline + atMostAbove) / baseline };
  return { ...(atLeast === undefined ? {} : { atLeast }), ...(atMost === undefined ? {} : { atMost }) };
}

const live = { part: 'turns, fed while they run', unit: 'turns/s' };
const full = { part: 'turns, full inbox', unit: 'turns/s' };
const synced = { part: 'turns, fed while they run, each write synced', unit: 'turns/s' };
const bareOurs = { baseline: 'bare loop on our publish channel' };
const takeover = { baseline: 'time to live of a member', unit: 'ms' };
/** The longest stall that a planned handoff may cause, and what the same load waits while nothing moves. */
const bound = { baseline: 'bound', unit: 'ms', atMost: 1 };
const quiet = { baseline: 'no move', unit: 'ms' };
/** A message every few milliseconds, and a reader of the records that tells when each is there. */
const record = { baseline: 'the same without it', unit: 'µs' };
const beforeHot = { baseline: 'before the hot session', unit: 'MiB' };
const bareGuard = { baseline: 'bare compare-and-set', unit: 'µs' };
const oneWorker = { baseline: 'one worker', unit: 'turns/s' };
const thousand = { baseline: '1,000 sessions' };
const processor = { ...thousand, unit: 'µs of processor time' };
const memory = { ...thousand, unit: 'MiB' };
const delivery = { baseline: 'publish to delivery', unit: 'µs' };

/** Its messages are handled where they come in, so that a crash loses those that wait and the turn that runs. */
const chatSdk = (keeps: string): string =>
  `Chat SDK queue, ${keeps} (in one process, no handoff, nothing kept of a running turn)`;

export const TARGETS = {
  liveBare: { ...live, baseline: 'bare loop', atLeast: 0.8 },
  liveBareOurs: { ...live, ...bareOurs },
  liveGroupmq: { ...live, baseline: 'GroupMQ, everysec', atLeast: 3 },
  liveGroupmqNothing: { ...live, baseline: 'GroupMQ, keeps nothing' },
  liveBullmq: { ...live, baseline: 'BullMQ, everysec (no order in a session)' },
  liveChatSdk: { ...live, baseline: chatSdk('everysec'), atLeast: 0.9 },
  liveChatSdkNothing: { ...live, baseline: chatSdk('keeps nothing') },
  liveRestate: { ...live, baseline: 'Restate, call to completion', atLeast: 10 },
  fullBare: { ...full, baseline: 'bare loop', atLeast: 0.6 },
  fullBareOurs: { ...full, ...bareOurs },
  fullGroupmq: { ...full, baseline: 'GroupMQ, everysec', atLeast: 3 },
  fullGroupmqNothing: { ...full, baseline: 'GroupMQ, keeps nothing' },
  fullBullmq: { ...full, baseline: 'BullMQ, everysec (no order in a session)' },
  syncedBare: { ...synced, baseline: 'bare loop, each write synced', atLeast: 0.85 },
  syncedGroupmq: { ...synced, baseline: 'GroupMQ, always', atLeast: 1 },
  syncedChatSdk: { ...synced, baseline: chatSdk('always') },
  ingress: { part: 'ingress', baseline: 'bare Fastify route', unit: 'requests/s', atLeast: 0.6 },
  idleP50: { ...delivery, part: 'message to handler, idle session, p50', atMost: 1.3 },
  idleP99: { ...delivery, part: 'message to handler, idle session, p99', atMost: 2 },
  newP50: { ...delivery, part: 'message to handler, unread head, p50', atMost: 2 },
  newP99: { ...delivery, part: 'message to handler, unread head, p99' },
  takeoverWorst: { ...takeover, part: 'takeover after kill -9, worst session', atMostAbove: 2_000 },
  takeoverMedian: { ...takeover, part: 'takeover after kill -9, median session' },
  failoverWorst: {
    ...takeover,
    part: 'takeover after kill -9 with the node that led all, worst of ten',
    atMostAbove: 2_000,
  },
  failoverMedian: { ...takeover, part: 'takeover after kill -9 with the node that led all, median' },
  joinBound: { ...bound, part: 'a worker joins, longest wait' },
  joinQuiet: { ...quiet, part: 'a worker joins, longest wait' },
  leaveBound: { ...bound, part: 'a worker stops, longest wait' },
  leaveQuiet: { ...quiet, part: 'a worker stops, longest wait' },
  busyJoinBound: { ...bound, part: 'a worker joins, turns of 50 ms, longest wait' },
  busyJoinQuiet: { ...quiet, part: 'a worker joins, turns of 50 ms, longest wait' },
  busyLeaveBound: { ...bound, part: 'a worker stops, turns of 50 ms, longest wait' },
  busyLeaveQuiet: { ...quiet, part: 'a worker stops, turns of 50 ms, longest wait' },
  growthWorker: { ...processor, part: 'a turn of a known session, worker', atMost: 1.3 },
  growthProcessor: { ...processor, part: 'a turn of a known session, worker and broker' },
  growthNewProcessor: { ...processor, part: 'the first turn of a session, worker and broker' },
  growthTurns: { ...thousand, part: 'turns of known sessions', unit: 'turns/s' },
  growthRestart: { ...thousand, part: 'kill -9, start, all shards answer', unit: 'ms' },
  growthAtRest: {
    part: 'worker memory, all idle, a minute later',
    baseline: 'a fresh worker',
    unit: 'MiB',
    atMostAbove: 60,
  },
  growthLive: { ...memory, part: 'objects of the worker, all idle' },
  growthBroker: { ...memory, part: 'broker memory, with ids of 15 min' },
  flood: { part: 'worker memory, peak of a flood', baseline: 'bound', unit: 'MiB', atMost: 1 },
  replicasTurns: { part: 'turns', baseline: 'one server', unit: 'turns/s' },
  replicasWait: { part: 'message to its record, p50', baseline: 'one server', unit: 'µs' },
  twoWaiting: { ...oneWorker, part: 'two workers, turns of 50 ms, 50 at once each', atLeast: 1.8 },
  fourWaiting: { ...oneWorker, part: 'four workers, turns of 50 ms, 50 at once each', atLeast: 3.4 },
  twoBusy: { ...oneWorker, part: 'two workers, turns that do nothing' },
  fourBusy: { ...oneWorker, part: 'four workers, turns that do nothing' },
  guardP50: { ...bareGuard, part: 'task acquired over NATS, p50', atMost: 3 },
  guardP99: { ...bareGuard, part: 'task acquired over NATS, p99' },
  guardHttpP50: { ...bareGuard, part: 'task acquired over HTTP, p50' },
  guardHttpP99: { ...bareGuard, part: 'task acquired over HTTP, p99' },
  guardBound: { part: 'task acquired over NATS, p99', baseline: 'bound', unit: 'µs', atMost: 0.5 },
  hotP50: { ...record, part: 'message to its record beside a hot session, p50', atMost: 1.5 },
  hotP99: { ...record, part: 'message to its record beside a hot session, p99', atMost: 1.5 },
  burstP50: { ...record, part: 'the same while its messages come, p50' },
  burstP99: { ...record, part: 'the same while its messages come, p99' },
  hotTurns: { part: 'turns of the hot session', baseline: 'one every 20 ms', unit: 'turns/s' },
  hotLive: { ...beforeHot, part: 'objects of the worker', atMostAbove: 16 },
  hotPeak: { ...beforeHot, part: 'worker memory, peak' },
  hotAfter: { ...beforeHot, part: 'objects of the worker, all done' },
} satisfies Record<string, Target>;

export type TargetName = keyof typeof TARGETS;

/** One figure per run, or why there is none: what could not be measured was not reached. */
export type Figures = readonly number[] | { readonly notMeasured: string };

export interface Comparison {
  readonly target: TargetName;
  /** What the figure is of, when a target has several. */
  readonly of?: string;
  readonly ours: Figures;
  readonly baseline: Figures;
  /** Where it was counted, of each run. */
  readonly ourCosts?: readonly TurnCost[];
  readonly baselineCosts?: readonly TurnCost[];
}

export function isReached({ atLeast = 0, atMost = Number.POSITIVE_INFINITY }: Limits, ratio: number): boolean {
  return ratio >= atLeast && ratio <= atMost;
}
