import { startBroker, startBrokerCluster, type BrokerPlace, type TestBrokerCluster } from '#testing';
import { Disks, type Disk } from './disks.js';
import { Networks } from './networks.js';

/** The node or nodes of the broker, and what they live on. */
export interface Brokers extends TestBrokerCluster {
  /** Absent = everything is in the network of this machine. */
  readonly networks?: Networks;
  /** One for each node, or none. */
  readonly disks: readonly Disk[];
}

export interface BrokersOptions {
  readonly nodes: 1 | 3;
  readonly workers: number;
  /** With several nodes each of them and each worker is in a network of its own. */
  readonly networks: boolean;
  /** Each store is on a small disk of this size; 0 = in the folder for temporary files. */
  readonly diskMegabytes: number;
}

/** The name of the network of a worker or of a node of the broker. */
export function networkName(role: 'worker' | 'broker', target: number): string {
  return `${role}-${target}`;
}

export async function startBrokers(options: BrokersOptions): Promise<Brokers> {
  const started: AsyncDisposable[] = [];
  const dispose = async (): Promise<void> => {
    for (const one of started.toReversed()) await one[Symbol.asyncDispose]();
  };
  const keep = <T extends AsyncDisposable>(one: T): T => {
    started.push(one);
    return one;
  };
  try {
    const { nodes, workers, diskMegabytes } = options;
    const disks = diskMegabytes === 0 ? undefined : keep(await Disks.make(nodes, diskMegabytes));
    const names = [...namesOf('broker', nodes), ...namesOf('worker', workers)];
    const networks = options.networks && nodes > 1 ? keep(await Networks.make(names)) : undefined;
    const places = namesOf('broker', nodes).map((name, n): BrokerPlace => {
      const { address, through } = networks?.of(name) ?? { address: '127.0.0.1', through: [] };
      const storeDir = disks?.all[n]?.path;
      return { address, through, ...(storeDir === undefined ? {} : { storeDir }) };
    });
    const cluster = keep(await start(places));
    return {
      ...{ nodes: cluster.nodes, disks: disks?.all ?? [], [Symbol.asyncDispose]: dispose },
      ...(networks === undefined ? {} : { networks }),
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function namesOf(role: 'worker' | 'broker', count: number): string[] {
  return Array.from({ length: count }, (_, n) => networkName(role, n));
}

async function start(places: readonly BrokerPlace[]): Promise<TestBrokerCluster> {
  if (places.length > 1) return startBrokerCluster(places.length, { places });
  const storeDir = places[0]?.storeDir;
  const broker = await startBroker(storeDir === undefined ? {} : { storeDir });
  return { nodes: [broker], [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose]() };
}
