import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tempDir, until } from '#testing';
import { names, startBenchBroker, type BenchBroker, type ServerOptions } from './bench-broker.js';
import { startProgram, type Program } from './program.js';
import { untilQuiet } from './quiet.js';

const BYTES_PER_MIB = 1_024 * 1_024;
/** Until the shards have their owners beside a time to live, before a run is given up. */
const SHARE_PATIENCE_MS = 30_000;
const DEFAULT_TTL_MS = 10_000;

export interface WorkersOptions {
  /** How long a turn takes, unless its message says otherwise. */
  readonly turnMs?: number;
  /** Turns at once, of each worker - default: as by default. */
  readonly capacity?: number;
  /** Beside the defaults. */
  readonly settings?: {
    readonly membership?: { readonly ttlMs: number; readonly renewMs: number };
    readonly agents?: object;
  };
  /** Default: one server, as it is by default. */
  readonly servers?: ServerOptions;
  readonly profileDir?: string | undefined;
}

export interface BenchWorker extends Program {
  /**
   * Collects all garbage, and answers what is left: objects, and bytes outside of the heap. A worker with nothing to do
   * does not do that by itself, since Node collects only as it allocates.
   */
  collectGarbage(): Promise<number>;
}

export interface Workers {
  readonly broker: BenchBroker;
  /** Resolves when the worker is ready. */
  start(worker: string): Promise<BenchWorker>;
  /** Resolves when exactly these own all shards, each its share. */
  untilShared(...workers: string[]): Promise<void>;
}

/** No part measures how messages are dropped. */
export const UNBOUNDED = { agents: { defaults: { maxQueueSize: 'unlimited' } } };

/** Measures with workers of its own on a broker of its own; nothing of them is left behind. */
export async function withWorkers<T>(options: WorkersOptions, measure: (workers: Workers) => Promise<T>): Promise<T> {
  const { turnMs = 0, capacity, settings = {}, servers, profileDir } = options;
  await untilQuiet();
  await using broker = await startBenchBroker(servers);
  await using folder = await tempDir('bench');
  const config = join(folder.path, 'lanekeeper.json');
  await writeFile(config, JSON.stringify({ ...UNBOUNDED, ...settings, nats: { replicas: servers?.replicas ?? 1 } }));
  const env = {
    LANEKEEPER_NATS_URL: broker.url,
    LANEKEEPER_CONFIG: config,
    LANEKEEPER_LOG_LEVEL: 'error',
    ...(capacity === undefined ? {} : { LANEKEEPER_WORKER_CAPACITY: String(capacity) }),
  };
  // Awaited: what is used here ends with this block.
  return await measure({
    broker,
    start: async (worker) => {
      const program = await startProgram('test/bench/programs/worker.js', {
        ...{ cwd: folder.path, args: [String(turnMs)], profileDir },
        env: { ...env, LANEKEEPER_WORKER_ID: worker },
      });
      await program.said('ready');
      return { ...program, collectGarbage: liveAsker(program) };
    },
    untilShared: async (...workers) => {
      const least = Math.floor(names.shards / workers.length);
      const isShared = async (): Promise<boolean> => {
        const owned = await broker.owned();
        const total = workers.reduce((sum, worker) => sum + (owned.get(worker) ?? 0), 0);
        return total === names.shards && workers.every((worker) => (owned.get(worker) ?? 0) >= least);
      };
      const timeoutMs = (settings.membership?.ttlMs ?? DEFAULT_TTL_MS) + SHARE_PATIENCE_MS;
      await until(`${workers.join(' and ')} own all shards`, isShared, { timeoutMs });
    },
  });
}

/** In MiB. */
function liveAsker(program: Program): () => Promise<number> {
  let asked = 0;
  return async () => {
    asked++;
    program.signal('SIGUSR2');
    return Number(await program.said(`live-${asked}`)) / BYTES_PER_MIB;
  };
}
