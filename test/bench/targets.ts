/** What a measurement must reach, as a ratio of its baseline in the same run. The numbers stand only here. */
export interface Target {
  readonly part: string;
  readonly baseline: string;
  readonly unit: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

const turns = { part: 'turns, fed while they run', unit: 'turns/s' };
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
} satisfies Record<string, Target>;

export type TargetName = keyof typeof TARGETS;

/** One figure per run, or why there is none: what could not be measured was not reached. */
export type Figures = readonly number[] | { readonly notMeasured: string };

export interface Comparison {
  readonly target: TargetName;
  readonly ours: Figures;
  readonly baseline: Figures;
}

export function isReached(target: Target, ratio: number): boolean {
  return ratio >= (target.atLeast ?? 0) && ratio <= (target.atMost ?? Number.POSITIVE_INFINITY);
}
