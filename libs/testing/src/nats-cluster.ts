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

/** One node of a cluster. `restart` resolves when it has caught up with the others. */
export type TestBrokerNode = Pick<TestBroker, 'url' | 'port' | 'pid' | 'kill9' | 'restart'>;

export interface TestBrokerCluster extends AsyncDisposable {
  readonly nodes: readonly TestBrokerNode[];
}

interface Ports {
  readonly client: number;
  readonly route: number;
  readonly monitor: number;
}

export interface TestBrokerClusterOptions {
  /** Default: yes, since a cluster is there for what must outlast a power cut. */
  readonly syncsEveryWrite?: boolean;
}

/** Nodes of one cluster on this machine, each with a store of its own. One alone is a broker without a cluster. */
export async function startBrokerCluster(
  size = 3,
  { syncsEveryWrite = true }: TestBrokerClusterOptions = {},
): Promise<TestBrokerCluster> {
  const binary = await findNatsServer({ env: hostEnv(), packageRoot: packageRoot(), log: console.error });
  const dir = await tempDir('cluster');
  const numbers = await freePorts(3 * size);
  const ports = Array.from({ length: size }, (_, n): Ports => {
    const [client = 0, route = 0, monitor = 0] = numbers.slice(3 * n);
    return { client, route, monitor };
  });
  const lives: OwnedProcess[] = [];
  const start = async (n: number): Promise<void> => {
    const config = join(dir.path, `n${n}.conf`);
    await writeFile(config, configOf(n, ports, join(dir.path, `store-${n}`), syncsEveryWrite));
    lives[n] = await spawnOwned({ command: binary, args: ['-c', config], env: {}, cwd: dir.path });
  };
  const stop = async (): Promise<void> => {
    await Promise.all(lives.map((life) => life.stop()));
    await dir.remove();
  };
  try {
    for (const n of ports.keys()) await start(n);
    await Promise.all(ports.map((node, n) => untilHealthy(node, () => lives[n])));
  } catch (error) {
    await stop();
    throw error;
  }
  const nodes = ports.map((node, n): TestBrokerNode => ({
    url: `nats://127.0.0.1:${node.client}`,
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

/** Without `always` a write is on the disk a while after it was acknowledged, and a power cut takes it. */
function configOf(n: number, all: readonly Ports[], storeDir: string, syncsEveryWrite: boolean): string {
  const sync = syncsEveryWrite ? ', sync_interval: always' : '';
  const routes = all.map(({ route }) => `nats://127.0.0.1:${route}`);
  const { client, route, monitor } = all[n] ?? { client: 0, route: 0, monitor: 0 };
  return [
    `server_name: n${n}`,
    `listen: "127.0.0.1:${client}"`,
    `http: "127.0.0.1:${monitor}"`,
    `jetstream { store_dir: ${JSON.stringify(storeDir)}${sync} }`,
    all.length === 1 ? '' : `cluster { name: test, listen: "127.0.0.1:${route}", routes: ${JSON.stringify(routes)} }`,
    '',
  ].join('\n');
}

/** The server itself knows best when its streams have caught up. */
async function untilHealthy({ monitor }: Ports, life: () => OwnedProcess | undefined): Promise<void> {
  let hasEnded = false;
  void life()?.exited.then(() => (hasEnded = true));
  await until('a node of the broker is healthy', async () => {
    return hasEnded || (await fetch(`http://127.0.0.1:${monitor}/healthz`)).ok;
  });
  if (hasEnded) throw new Error(`a node of the broker ended instead of getting ready:\n${life()?.output()}`);
}
