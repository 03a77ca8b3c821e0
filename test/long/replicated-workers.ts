import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  startBrokerCluster,
  startService,
  tempDir,
  until,
  type ServiceProcess,
  type TestBrokerCluster,
} from '#testing';
import { ApiClient } from '../support/api-client.js';
import type { ListedWorker } from '../support/cluster.js';

export interface ReplicatedWorkers extends AsyncDisposable {
  readonly broker: TestBrokerCluster;
  readonly api: ApiClient;
  readonly workers: readonly ServiceProcess[];
  listed(): Promise<ListedWorker[]>;
}

const SHARDS = 64;

/** So many at each node that has any. */
const WORKERS_PER_NODE = 2;

/**
 * Three nodes, and workers with the times that they have by default at the second and the third. The leader is to be the
 * first: nothing of ours loses its connection with it then, so that every worker believes that it has missed nothing.
 */
export async function startReplicatedWorkers(agentUrl: string): Promise<ReplicatedWorkers> {
  const dir = await tempDir('replicated');
  const broker = await startBrokerCluster(3, { syncsEveryWrite: false });
  const started: ServiceProcess[] = [];
  const dispose = async (): Promise<void> => {
    await Promise.all(started.map((service) => service.stop()));
    await broker[Symbol.asyncDispose]();
    await dir.remove();
  };
  const config = join(dir.path, 'lanekeeper.json');
  await writeFile(config, JSON.stringify({ nats: { replicas: 3 }, log: { level: 'warn' } }));
  const start = async (role: string, node: number, more: NodeJS.ProcessEnv = {}): Promise<ServiceProcess> => {
    const env = {
      LANEKEEPER_NATS_URL: broker.nodes[node]?.url,
      LANEKEEPER_HTTP_PORT: '0',
      LANEKEEPER_CONFIG: config,
      LANEKEEPER_AGENT_URL: agentUrl,
      ...more,
    };
    const service = await startService({ args: [role], cwd: dir.path, env });
    started.push(service);
    return service;
  };
  try {
    const ingress = await start('ingress', 1);
    const api = new ApiClient(ingress.url ?? '');
    const listed = async (): Promise<ListedWorker[]> => (await api.get('/v1/workers')).body.workers;
    const workers: ServiceProcess[] = [];
    for (let n = 0; n < 2 * WORKERS_PER_NODE; n++) {
      workers.push(await start('worker', 1 + (n % 2), { LANEKEEPER_WORKER_ID: `w${n}` }));
    }
    await until('every worker has its share', async () => {
      const shares = (await listed()).map(({ shards }) => shards);
      return shares.length === workers.length && shares.every((share) => share >= Math.floor(SHARDS / workers.length));
    });
    return { broker, api, workers, listed, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}
