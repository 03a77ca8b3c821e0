import type { Dice } from './dice.js';
import { TIMES, type Times } from './times.js';

/**
 * Every fault of a run, drawn before it begins. A target has one fault at a time; those of different targets overlap as
 * chance wills.
 */
export interface PlannedFault {
  /** ms from the start of the run. */
  readonly at: number;
  readonly kind: FaultKind;
  /** Which worker, ingress, guard or broker node, from 0. */
  readonly target: number;
  /** Until it goes on, or is started again. */
  readonly lastsMs: number;
  /** The process that takes the place of a worker has a name of its own. */
  readonly isRenamed: boolean;
  /** How far a clock jumps. */
  readonly jumpMs: number;
  /** Picks what else it is about, e.g. the other end of a line: from 0, to be taken modulo what there is. */
  readonly peer: number;
}

interface FaultType {
  readonly of: 'worker' | 'ingress' | 'guard' | 'broker' | 'leaders';
  /** How often it is in the bag from which each round of faults is drawn. */
  readonly weight: number;
  /** With a membership of two seconds. */
  readonly lastsMs: readonly [number, number];
  /** With one of ten - default: the same. */
  readonly longMs?: readonly [number, number];
  /** Only with one node: of several a client knows the addresses, and goes around a broken link. */
  readonly isOfLink?: true;
  /** Only with several nodes. */
  readonly isOfCluster?: true;
  /** Only where the run could make these; those of networks are also of a cluster. */
  readonly needs?: 'networks' | 'disks';
}

/** To add a kind, add a row, and tell faults.ts how to do it. */
export const FAULT_TYPES = {
  'kill worker': { of: 'worker', weight: 2, lastsMs: [0, 4_000], longMs: [0, 13_000] },
  'stop worker': { of: 'worker', weight: 2, lastsMs: [0, 1_500] },
  /** SIGTERM, and the next one starts at once, as a rolling deploy does it. */
  'replace worker': { of: 'worker', weight: 1, lastsMs: [0, 0] },
  'pause worker briefly': { of: 'worker', weight: 1, lastsMs: [200, 1_300], longMs: [200, 7_000] },
  'pause worker beyond its time': { of: 'worker', weight: 2, lastsMs: [2_500, 6_000], longMs: [10_500, 14_000] },
  /** A zombie that never comes back. */
  'pause worker, then kill it': { of: 'worker', weight: 1, lastsMs: [500, 4_000], longMs: [500, 13_000] },
  /** Nothing gets through, and no side is told. */
  'cut worker off': { of: 'worker', weight: 1, lastsMs: [500, 6_000], longMs: [500, 14_000], isOfLink: true },
  /** The broker stores and acknowledges, and the worker never hears of it. */
  'lose answers to worker': { of: 'worker', weight: 1, lastsMs: [500, 6_000], longMs: [500, 14_000], isOfLink: true },
  /** An outage from which one comes back after the other: the first must not take the last for dead. */
  'cut all workers off': { of: 'broker', weight: 1, lastsMs: [2_500, 6_000], longMs: [10_500, 14_000], isOfLink: true },
  'reset link of worker': { of: 'worker', weight: 1, lastsMs: [0, 0], isOfLink: true },
  'lose answers to ingress': { of: 'ingress', weight: 1, lastsMs: [200, 3_000], isOfLink: true },
  /** A wall clock that is set wrong, forward or back, and right again. Guards are promised to have right ones. */
  'jump clock of worker': { of: 'worker', weight: 2, lastsMs: [100, 8_000] },
  'jump clock of ingress': { of: 'ingress', weight: 1, lastsMs: [100, 8_000] },
  'kill ingress': { of: 'ingress', weight: 1, lastsMs: [0, 2_000] },
  'stop ingress': { of: 'ingress', weight: 1, lastsMs: [0, 1_000] },
  'kill guard': { of: 'guard', weight: 1, lastsMs: [0, 3_000] },
  'stop guard': { of: 'guard', weight: 1, lastsMs: [0, 1_500] },
  /** It may hold a request that it decides when it goes on: about a holding that is over by then. */
  'pause guard': { of: 'guard', weight: 1, lastsMs: [500, 6_000] },
  /** What it decided stands, and neither it nor its caller knows. */
  'lose answers to guard': { of: 'guard', weight: 1, lastsMs: [500, 6_000], isOfLink: true },
  'cut guard off': { of: 'guard', weight: 1, lastsMs: [500, 6_000], isOfLink: true },
  'kill broker': { of: 'broker', weight: 1, lastsMs: [100, 5_000], longMs: [100, 13_000] },
  'pause broker': { of: 'broker', weight: 1, lastsMs: [300, 5_000], longMs: [300, 13_000] },
  /** It keeps its store and has thousands of messages to catch up with, while reads reach it already. */
  'keep broker away for long': { of: 'broker', weight: 1, lastsMs: [20_000, 26_000], isOfCluster: true },
  /** The same with a line on which that takes its time. */
  'return broker on a slow line': { of: 'broker', weight: 1, lastsMs: [8_000, 12_000], needs: 'networks' },
  'fill disk of broker': { of: 'broker', weight: 1, lastsMs: [2_000, 6_000], needs: 'disks' },
  /** Its clients reach it, and it reaches no other node. */
  'part broker from the others': { of: 'broker', weight: 2, lastsMs: [1_000, 9_000], needs: 'networks' },
  /** The third node reaches both, and keeps each in its office. */
  'part two brokers': { of: 'broker', weight: 1, lastsMs: [1_000, 9_000], needs: 'networks' },
  'lose what broker sends to the others': { of: 'broker', weight: 1, lastsMs: [1_000, 7_000], needs: 'networks' },
  'lose what the others send to broker': { of: 'broker', weight: 1, lastsMs: [1_000, 7_000], needs: 'networks' },
  'slow line of broker': { of: 'broker', weight: 1, lastsMs: [2_000, 8_000], needs: 'networks' },
  /** From the node to which it is connected then. */
  'cut worker from its broker': { of: 'worker', weight: 1, lastsMs: [500, 8_000], needs: 'networks' },
  'cut worker from all brokers': { of: 'worker', weight: 1, lastsMs: [500, 6_000], needs: 'networks' },
  'lose what worker sends to its broker': { of: 'worker', weight: 1, lastsMs: [500, 6_000], needs: 'networks' },
  'lose what its broker sends to worker': { of: 'worker', weight: 1, lastsMs: [500, 6_000], needs: 'networks' },
  'slow line of worker': { of: 'worker', weight: 1, lastsMs: [2_000, 8_000], needs: 'networks' },
  /** No fault at all: what an operator, or the broker itself, may do at any time. */
  'all leaders step down': { of: 'leaders', weight: 1, lastsMs: [0, 0], isOfCluster: true },
  'one leader steps down': { of: 'leaders', weight: 3, lastsMs: [0, 0], isOfCluster: true },
  'leaders of consumers step down': { of: 'leaders', weight: 1, lastsMs: [0, 0], isOfCluster: true },
  'leader of the cluster steps down': { of: 'leaders', weight: 1, lastsMs: [0, 0], isOfCluster: true },
} as const satisfies Record<string, FaultType>;
export type FaultKind = keyof typeof FAULT_TYPES;

export interface PlanSize {
  readonly ms: number;
  readonly workers: number;
  readonly ingresses: number;
  readonly guards: number;
  readonly nodes: number;
  readonly times: Times;
  /** What the run could make on the machine. */
  readonly has: Readonly<Record<'networks' | 'disks', boolean>>;
}

/** Something should be there that faults can hurt, and time to heal. */
const CALM_MS = 3_000;
/** So that every part can be picked evenly. */
const MOST_PEER = 999;
/** A process that was started again, or a broker node that catches up, is left alone for so long. */
const REST_MS = { worker: 2_000, ingress: 1_000, guard: 1_000, broker: 5_000, leaders: 1_000 } as const;

/** From within a renewal's time to beyond every time to live, backoff and wait of a run. */
const JUMPS_MS = [300, 1_500, 5_000, 600_000];

export function planFaults(dice: Dice, size: PlanSize): PlannedFault[] {
  const { ms, workers, ingresses, guards, nodes, times, has } = size;
  const counts = { worker: workers, ingress: ingresses, guard: guards, broker: nodes, leaders: 1 };
  const busyUntil = new Map<string, number>();
  let bag: FaultKind[] = [];
  const faults: PlannedFault[] = [];
  const end = ms - CALM_MS;
  for (let slot = CALM_MS; slot < end; slot += times.everyMs) {
    if (bag.length === 0) bag = dice.shuffle(fullBag(nodes, has));
    const kind = bag.pop() as FaultKind;
    const { of, lastsMs, longMs = lastsMs }: FaultType = FAULT_TYPES[kind];
    const wanted = slot + dice.between(0, times.everyMs - 1);
    const target = leastBusy(dice.shuffle(Array.from({ length: counts[of] }, (_, n) => n)), (n) =>
      Math.max(wanted, busyUntil.get(keyOf(of, n)) ?? 0),
    );
    const at = Math.max(wanted, busyUntil.get(keyOf(of, target)) ?? 0);
    const lasts = dice.between(...(times === TIMES.default ? longMs : lastsMs));
    const isRenamed = dice.chance(0.4);
    const jumpMs = dice.pick(JUMPS_MS) * (dice.chance(0.5) ? 1 : -1);
    const peer = dice.between(0, MOST_PEER);
    if (at >= end) continue;
    busyUntil.set(keyOf(of, target), at + lasts + REST_MS[of]);
    faults.push({ at, kind, target, lastsMs: lasts, isRenamed, jumpMs, peer });
  }
  return faults.toSorted((a, b) => a.at - b.at);
}

function fullBag(nodes: number, has: PlanSize['has']): FaultKind[] {
  const types: [string, FaultType][] = Object.entries(FAULT_TYPES);
  return types.flatMap(([kind, { weight, isOfLink = false, isOfCluster = false, needs }]) => {
    const isPossible =
      !(isOfLink && nodes > 1) &&
      !((isOfCluster || needs === 'networks') && nodes === 1) &&
      (needs === undefined || has[needs]);
    return Array<FaultKind>(isPossible ? weight : 0).fill(kind as FaultKind);
  });
}

/** The first of those that are free earliest. */
function leastBusy(targets: readonly number[], freeAt: (target: number) => number): number {
  return targets.reduce((best, target) => (freeAt(target) < freeAt(best) ? target : best));
}

/** Of a cluster one node at a time: with two away it is not there, and that is no news. */
export function keyOf(of: FaultType['of'], target: number): string {
  return of === 'broker' ? of : `${of}-${target}`;
}
