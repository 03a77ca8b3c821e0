import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '#config';
import { findNatsServer } from '#jetstream';
import { freePorts } from './free-ports.js';
import { hostEnv } from './host-env.js';
import type { TestBroker } from './nats-broker.js';
import { spawnOwned, type OwnedProcess } from './owned-process.js';
import { tempDir } from './temp-dir.js';
import { until } from './until.js';

/** One node of a cluster. `restart` resolves when the node has caught up with the others. */
export type TestBrokerNode = Pick<TestBroker, 'url' | 'port' | 'pid' | 'kill9' | 'restart'>;

export interface TestBrokerCluster extends AsyncDisposable {
  readonly nodes: readonly TestBrokerNode[];
}

interface BrokerSeat extends Required<BrokerPlace> {
  readonly client: number;
  readonly route: number;
  readonly monitor: number;
}

/** Where a node runs, if not on this machine. */
export interface BrokerPlace {
  /** Address that it listens on. */
  readonly address: string;
  /** Command prefix, for example to run it in a network namespace; empty = none. */
  readonly through: readonly string[];
  /** Unset = a temp folder that is removed with the cluster. */
  readonly storeDir?: string;
}

export interface TestBrokerClusterOptions {
  /** Default: true, because a cluster is for data that must survive a power cut. */
  readonly syncsEveryWrite?: boolean;
  /** Place of each node, in order - default: this machine. */
  readonly places?: readonly BrokerPlace[];
}

/** For requests that need the system account. All other clients connect without a name. */
export const SYSTEM_USER = { user: 'system', pass: 'system' } as const;
const HERE: BrokerPlace = { address: '127.0.0.1', through: [] };

/**
 * Starts the nodes of one cluster on this machine, each with its own store. A single node is a broker without a
 * cluster.
 */
export async function startBrokerCluster(
  size = 3,
  { syncsEveryWrite = true, places = [] }: TestBrokerClusterOptions = {},
): Promise<TestBrokerCluster> {
  const binary = await findNatsServer({ env: hostEnv(), packageRoot: packageRoot(), log: console.error });
  const dir = await tempDir('cluster');
  const numbers = await freePorts(3 * size);
  const seats = Array.from({ length: size }, (_, n): BrokerSeat => {
    const [client = 0, route = 0, monitor = 0] = numbers.slice(3 * n);
    return { client, route, monitor, ...{ storeDir: join(dir.path, `store-${n}`), ...HERE, ...places[n] } };
  });
  const lives: OwnedProcess[] = [];
  const start = async (n: number): Promise<void> => {
    const config = join(dir.path, `n${n}.conf`);
    await writeFile(config, configOf(n, seats, syncsEveryWrite));
    const [command = binary, ...args] = [...(seats[n]?.through ?? []), binary, '-c', config];
    lives[n] = await spawnOwned({ command, args, env: {}, cwd: dir.path });
  };
  const stop = async (): Promise<void> => {
    await Promise.all(lives.map((life) => life.stop()));
    await dir.remove();
  };
  try {
    for (const n of seats.keys()) await start(n);
    await Promise.all(seats.map((node, n) => untilHealthy(node, () => lives[n])));
  } catch (error) {
    await stop();
    throw error;
  }
  const nodes = seats.map((node, n): TestBrokerNode => ({
    url: `nats://${node.address}:${node.client}`,
    port: node.client,
    get pid() {
      return lives[n]?.pid ?? 0;
    },
    kill9: async () => void (await lives[n]?.killGroup9()),
    async restart() {
      await lives[n]?.stop();
      await start(n);
      await untilHealthy(node, () => lives[n]);
    },
  }));
  return { nodes, [Symbol.asyncDispose]: stop };
}

/** Without `always`, a write reaches the disk some time after its acknowledgement, and a power cut loses it. */
function configOf(n: number, all: readonly BrokerSeat[], syncsEveryWrite: boolean): string {
  const seat = all[n];
  if (seat === undefined) throw new Error(`there is no node ${n}`);
  const { address, client, route, monitor, storeDir } = seat;
  const sync = syncsEveryWrite ? ', sync_interval: always' : '';
  const routes = all.map((other) => `nats://${other.address}:${other.route}`);
  const { user, pass } = SYSTEM_USER;
  return [
    `server_name: n${n}`,
    `listen: "${address}:${client}"`,
    `http: "${address}:${monitor}"`,
    `jetstream { store_dir: ${JSON.stringify(storeDir)}${sync} }`,
    `accounts { A: { jetstream: enabled, users: [{ user: a, password: a }] }, S: { users: [{ user: ${user}, password: ${pass} }] } }`,
    'system_account: S',
    'no_auth_user: a',
    all.length === 1 ? '' : `cluster { name: test, listen: "${address}:${route}", routes: ${JSON.stringify(routes)} }`,
    '',
  ].join('\n');
}

/** The server itself tells when its streams have caught up. */
async function untilHealthy({ address, monitor }: BrokerSeat, life: () => OwnedProcess | undefined): Promise<void> {
  let hasEnded = false;
  void life()?.exited.then(() => (hasEnded = true));
  await until('a node of the broker is healthy', async () => {
    return hasEnded || (await fetch(`http://${address}:${monitor}/healthz`)).ok;
  });
  if (hasEnded) throw new Error(`a node of the broker ended instead of getting ready:\n${life()?.output()}`);
}
