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

const turns = { part: 'turns, fed while they run', unit: 'turns/s' };
const takeover = { baseline: 'time to live of a member', unit: 'ms' };
/** What the design promises of a handoff, and what the same load waits while nothing moves. */
const bound = { baseline: 'bound', unit: 'ms', atMost: 1 };
const quiet = { baseline: 'no move', unit: 'ms' };
const drain = { part: 'turns, full inbox', unit: 'turns/s' };

export const TARGETS = {
  turnsBare: { ...turns, baseline: 'bare loop', atLeast: 0.85 },
  turnsGroupmq: { ...turns, baseline: 'GroupMQ', atLeast: 3 },
  turnsChatSdk: { ...turns, baseline: 'Chat SDK queue', atLeast: 5 },
  drainBare: { ...drain, baseline: 'bare loop', atLeast: 0.85 },
  drainGroupmq: { ...drain, baseline: 'GroupMQ', atLeast: 3 },
  ingress: { part: 'ingress', baseline: 'bare Fastify route', unit: 'requests/s', atLeast: 0.6 },
  idleP50: { part: 'message to handler, idle session, p50', baseline: 'publish to delivery', unit: 'µs', atMost: 1.5 },
  idleP99: { part: 'message to handler, idle session, p99', baseline: 'publish to delivery', unit: 'µs', atMost: 3 },
  newP50: { part: 'message to handler, unread head, p50', baseline: 'publish to delivery', unit: 'µs' },
  newP99: { part: 'message to handler, unread head, p99', baseline: 'publish to delivery', unit: 'µs' },
  takeoverWorst: { ...takeover, part: 'takeover after kill -9, worst session', atMostAbove: 2_000 },
  takeoverMedian: { ...takeover, part: 'takeover after kill -9, median session' },
  joinBound: { ...bound, part: 'a worker joins, longest wait' },
  joinQuiet: { ...quiet, part: 'a worker joins, longest wait' },
  leaveBound: { ...bound, part: 'a worker stops, longest wait' },
  leaveQuiet: { ...quiet, part: 'a worker stops, longest wait' },
  busyJoinBound: { ...bound, part: 'a worker joins, turns of 50 ms, longest wait' },
  busyJoinQuiet: { ...quiet, part: 'a worker joins, turns of 50 ms, longest wait' },
  busyLeaveBound: { ...bound, part: 'a worker stops, turns of 50 ms, longest wait' },
  busyLeaveQuiet: { ...quiet, part: 'a worker stops, turns of 50 ms, longest wait' },
} satisfies Record<string, Target>;

export type TargetName = keyof typeof TARGETS;

/** One figure per run, or why there is none: what could not be measured was not reached. */
export type Figures = readonly number[] | { readonly notMeasured: string };

export interface Comparison {
  readonly target: TargetName;
  readonly ours: Figures;
  readonly baseline: Figures;
}

export function isReached({ atLeast = 0, atMost = Number.POSITIVE_INFINITY }: Limits, ratio: number): boolean {
  return ratio >= atLeast && ratio <= atMost;
}
