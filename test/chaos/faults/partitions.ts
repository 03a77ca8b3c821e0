import { setTimeout as delay } from 'node:timers/promises';
import { networkName } from '../brokers.js';
import type { Networks, SlowLine } from '../networks.js';
import type { FaultKind, PlannedFault } from '../plan.js';
import { beginCut, endCut, lifeOf, nodeOfLife, seatOf, whileCutOff, type Doing, type Targets } from './targets.js';

/** From whom to whom nothing gets through. */
type Cut = readonly [from: string, to: string];

const broker = (target: number): string => networkName('broker', target);
const worker = (target: number): string => networkName('worker', target);
const bothWays = (one: string, other: string): Cut[] => [
  [one, other],
  [other, one],
];

/** What a network does to nodes of the broker and to workers. No process is told: connections stand, and nothing comes. */
export const PARTITIONS = {
  'part broker from the others': async (targets, { target, lastsMs }) =>
    part(
      targets,
      [target],
      othersThan(targets, target).flatMap((other) => bothWays(broker(target), broker(other))),
      lastsMs,
    ),
  'part two brokers': async (targets, { target, peer, lastsMs }) => {
    const others = othersThan(targets, target);
    const other = others[peer % others.length] ?? target;
    return part(targets, [target, other], bothWays(broker(target), broker(other)), lastsMs);
  },
  'lose what broker sends to the others': async (targets, { target, lastsMs }) =>
    part(
      targets,
      [target],
      othersThan(targets, target).map((other): Cut => [broker(target), broker(other)]),
      lastsMs,
    ),
  'lose what the others send to broker': async (targets, { target, lastsMs }) =>
    part(
      targets,
      [target],
      othersThan(targets, target).map((other): Cut => [broker(other), broker(target)]),
      lastsMs,
    ),
  'slow line of broker': async (targets, { target, lastsMs }) => slow(targets, broker(target), 'of a node', lastsMs),
  'cut worker from its broker': async (targets, fault) =>
    cutFromItsBroker(targets, fault, (node) => bothWays(worker(fault.target), node)),
  'cut worker from all brokers': async (targets, fault) => {
    const nodes = targets.brokers.nodes.map((_, n) => broker(n));
    await cutWorker(
      targets,
      fault,
      nodes.flatMap((node) => bothWays(worker(fault.target), node)),
    );
  },
  'lose what worker sends to its broker': async (targets, fault) =>
    cutFromItsBroker(targets, fault, (node) => [[worker(fault.target), node]]),
  'lose what its broker sends to worker': async (targets, fault) =>
    cutFromItsBroker(targets, fault, (node) => [[node, worker(fault.target)]]),
  'slow line of worker': async (targets, { target, lastsMs }) => slow(targets, worker(target), 'of a worker', lastsMs),
} as const satisfies Partial<Record<FaultKind, Doing>>;

/** For as long as it is not ended. */
export async function slowLine({ brokers }: Targets, name: string, line: SlowLine): Promise<AsyncDisposable> {
  const networks = networksOf(brokers);
  await networks.slowDown(name, line);
  return { [Symbol.asyncDispose]: () => networks.speedUp(name) };
}

async function slow(targets: Targets, name: string, line: SlowLine, ms: number): Promise<void> {
  await using _slow = await slowLine(targets, name, line);
  await delay(ms);
}

async function part(targets: Targets, nodes: readonly number[], cuts: readonly Cut[], ms: number): Promise<void> {
  await using _cuts = await cutAll(networksOf(targets.brokers), cuts);
  await whileCutOff(targets, nodes, ms);
}

async function cutFromItsBroker(
  targets: Targets,
  fault: PlannedFault,
  cutsTo: (node: string) => readonly Cut[],
): Promise<string> {
  const node = await nodeOfLife(lifeOf(seatOf(targets.crew.workers, fault)), targets.brokers);
  // It may be on its way from one to another: then it is the one that the seed picks.
  const target = node ?? fault.peer % targets.brokers.nodes.length;
  await cutWorker(targets, fault, cutsTo(broker(target)));
  return `it was connected to ${node === undefined ? 'none' : broker(node)}`;
}

async function cutWorker(targets: Targets, fault: PlannedFault, cuts: readonly Cut[]): Promise<void> {
  const life = lifeOf(seatOf(targets.crew.workers, fault));
  await using _cuts = await cutAll(networksOf(targets.brokers), cuts);
  const span = beginCut(life);
  await delay(fault.lastsMs);
  endCut(span);
}

async function cutAll(networks: Networks, cuts: readonly Cut[]): Promise<AsyncDisposable> {
  await Promise.all(cuts.map(([from, to]) => networks.cut(from, to)));
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all(cuts.map(([from, to]) => networks.mend(from, to)));
    },
  };
}

function othersThan({ brokers }: Targets, target: number): number[] {
  return [...brokers.nodes.keys()].filter((node) => node !== target);
}

function networksOf({ networks }: Targets['brokers']): Networks {
  if (networks === undefined) throw new Error('this run has no networks');
  return networks;
}
