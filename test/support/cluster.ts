import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startBroker, startService, tempDir, until, type ServiceProcess, type TestBroker } from '#testing';
import { ApiClient, requestJson, type ApiAnswer } from './api-client.js';

/** Short times, so that a test of a takeover does not wait for the ten seconds of real life. */
export const TTL_MS = 2_000;

export interface ClusterOptions {
  /** Agent `main` over HTTP; unset = the echo. */
  readonly agentUrl?: string;
  /** Beyond the times of the membership. */
  readonly settings?: object;
  /** Starts a guard too. */
  readonly guard?: true;
}

export interface ListedWorker {
  readonly worker: string;
  readonly incarnation: string;
  readonly draining: boolean;
  readonly running: number;
  readonly discarded: number;
  readonly shards: number;
  readonly lanes: number;
  readonly waitingBytes: number;
}

export interface Cluster extends AsyncDisposable {
  readonly broker: TestBroker;
  readonly ingress: ServiceProcess;
  readonly api: ApiClient;
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** Starts a worker of this name; resolves when it is ready. */
  start(worker: string, env?: NodeJS.ProcessEnv): Promise<ServiceProcess>;
  /** Starts a guard; resolves when it answers. */
  startGuard(): Promise<ServiceProcess>;
  /** Asks the guard that was started last: `/<key>`, or with a body `/<key>/acquire`. */
  ask(path: string, body?: object): Promise<ApiAnswer>;
  /** The process of this name that was started last. */
  of(worker: string): ServiceProcess;
  listed(): Promise<ListedWorker[]>;
  /** Resolves when exactly these workers own all shards, each its share. */
  balanced(...workers: string[]): Promise<void>;
  /** A session whose shard this worker owns now; another one for each `n`. */
  sessionOf(worker: string, n?: number): Promise<string>;
}

/** A broker, an ingress, and as many workers as the test wants, each a process of its own. */
export async function startCluster(workers: readonly string[], options: ClusterOptions = {}): Promise<Cluster> {
  const dir = await tempDir('cluster');
  const started: ServiceProcess[] = [];
  const byName = new Map<string, ServiceProcess>();
  const broker = await startBroker();
  const dispose = async (): Promise<void> => {
    // One that a test has stopped cannot end by itself.
    await Promise.all(started.map((service) => service.stop()));
    await broker[Symbol.asyncDispose]();
    await dir.remove();
  };
  const config = join(dir.path, 'lanekeeper.json');
  const membership = { ttlMs: TTL_MS, renewMs: 400 };
  await writeFile(config, JSON.stringify({ membership, log: { level: 'warn' }, ...options.settings }));
  const env = {
    LANEKEEPER_NATS_URL: broker.url,
    LANEKEEPER_HTTP_PORT: '0',
    LANEKEEPER_CONFIG: config,
    ...(options.agentUrl === undefined ? {} : { LANEKEEPER_AGENT_URL: options.agentUrl }),
  };
  const startRole = async (role: string, more: NodeJS.ProcessEnv = {}): Promise<ServiceProcess> => {
    const service = await startService({ args: [role], cwd: dir.path, env: { ...env, ...more } });
    started.push(service);
    return service;
  };
  const start = async (worker: string, more: NodeJS.ProcessEnv = {}): Promise<ServiceProcess> => {
    const service = await startRole('worker', { ...more, LANEKEEPER_WORKER_ID: worker });
    byName.set(worker, service);
    return service;
  };
  try {
    let guardUrl = '';
    const startGuard = async (): Promise<ServiceProcess> => {
      const guard = await startRole('guard');
      guardUrl = guard.url ?? '';
      return guard;
    };
    // All at once, and to the end of each also when one fails: what starts behind a failure would outlive the test.
    const starting = startRole('ingress');
    const others = [...(options.guard === true ? [startGuard()] : []), ...workers.map((worker) => start(worker))];
    const starts = await Promise.allSettled([starting, ...others]);
    for (const each of starts) if (each.status === 'rejected') throw each.reason;
    const ingress = await starting;
    const api = new ApiClient(ingress.url ?? '');
    const listed = async (): Promise<ListedWorker[]> => (await api.get('/v1/workers')).body.workers;
    const cluster: Cluster = {
      ...{ broker, ingress, api, env, start, startGuard, listed, folder: dir.path },
      ask: (path, body) => requestJson(`${guardUrl}/v1/tasks${path}`, body),
      of: (worker) => {
        const service = byName.get(worker);
        if (service === undefined) throw new Error(`no worker ${worker} was started`);
        return service;
      },
      balanced: async (...names) => {
        await until(`${names.join(', ')} own all shards`, async () => {
          const owners = (await listed()).filter(({ shards }) => shards > 0);
          const least = Math.floor(64 / names.length);
          const total = owners.reduce((sum, { shards }) => sum + shards, 0);
          const isThem =
            owners
              .map(({ worker }) => worker)
              .toSorted()
              .join() === names.toSorted().join();
          return isThem && total === 64 && owners.every(({ shards }) => shards >= least && shards <= least + 1);
        });
      },
      sessionOf: async (worker, n = 0) => {
        for (let i = 0, found = 0; i < 2_000; i++) {
          const session = `of-${worker}-${i}`;
          const { worker: incarnation = '' } = await api.session(session);
          if (String(incarnation).startsWith(`${worker}/`) && found++ === n) return session;
        }
        throw new Error(`found no session of ${worker}`);
      },
      [Symbol.asyncDispose]: dispose,
    };
    if (workers.length > 0) await cluster.balanced(...workers);
    return cluster;
  } catch (error) {
    await dispose();
    throw error;
  }
}
