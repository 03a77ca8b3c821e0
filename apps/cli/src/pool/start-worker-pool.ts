import { availableParallelism } from 'node:os';
import { hostWorkerId, type Settings } from '#config';
import { Names, systemClock } from '#contracts';
import { connectToStreams, KeyBucket, PublishChannel, StreamReader } from '#jetstream';
import { KeyMemberStore } from '#shards';
import type { Logger } from '#telemetry';
import { passLogLine } from './child-log.js';
import { MemberLoads } from './member-loads.client.js';
import type { PoolLimits } from './pool-size.js';
import { PoolSlot } from './pool-slot.js';
import { WorkerPool } from './worker-pool.js';
import { spawnWorker } from './worker-process.js';

export interface StartWorkerPoolOptions {
  readonly settings: Settings;
  readonly pool: NonNullable<Settings['gateway']['workerPool']>;
  readonly natsUrl: string;
  /** The variables of this process: its workers get them too. */
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface RunningWorkerPool {
  /** Resolves when it cannot go on by itself. */
  readonly failed: Promise<Error>;
  /** All workers give their shards away, drain and end. */
  stop(): Promise<void>;
}

/** On top of a worker's drain: its last words, and the end of its connections. */
const LEAVE_RESERVE_MS = 8_000;
/** A busy shard moves after a second of patience. */
const MOVE_MS = 1_500;
const SILENT_RENEWALS = 3;
const HUNG_LIVES = 3;

/** Starts the workers of `gateway.workerPool`; resolves when the least number of them is ready. */
export async function startWorkerPool(options: StartWorkerPoolOptions): Promise<RunningWorkerPool> {
  const { settings, pool, natsUrl, log, signal } = options;
  const { renewMs, ttlMs } = settings.membership;
  const names = new Names(settings.namespace, settings.shards);
  // Streams of other settings end the start here, once and with one message, and not in each worker again and again.
  const connection = await connectToStreams({ ...options, url: natsUrl, name: 'lanekeeper worker pool', names });
  const channel = new PublishChannel(connection);
  const bucket = new KeyBucket(connection, channel, new StreamReader(connection), names.membersBucket, log);
  const loads = new MemberLoads(connection, new KeyMemberStore(bucket), systemClock);
  const limits: PoolLimits = {
    ...pool,
    idleTimeoutMs: pool.idleTimeout * 1_000,
    capacity: settings.worker.capacity,
    cores: availableParallelism(),
    settleMs: 2 * renewMs + MOVE_MS,
  };
  const workers = new WorkerPool({
    ...{ limits, loads, log },
    ids: Array.from({ length: pool.maxWorkers }, (_, slot) => poolWorkerId(settings.worker.id, slot + 1)),
    makeSlot: (id, onChange) => makeSlot(id, onChange, options),
    silentAfterMs: SILENT_RENEWALS * renewMs,
    hungAfterMs: HUNG_LIVES * ttlMs,
    clock: systemClock,
  });
  const close = async (): Promise<void> => {
    await workers.stop();
    loads.close();
    channel.close();
    await connection.close();
  };
  try {
    await workers.start(signal);
  } catch (error) {
    await close();
    throw error;
  }
  return { failed: connection.lost(), stop: close };
}

function makeSlot(id: string, onChange: () => void, options: StartWorkerPoolOptions): PoolSlot {
  const { settings, natsUrl, env } = options;
  const log = options.log.child({ process: id });
  return new PoolSlot({
    spawn: ({ onReady }) =>
      spawnWorker({
        ...{ id, onReady },
        env: { ...env, LANEKEEPER_NATS_URL: natsUrl },
        onPid: (pid) => log.info({ pid }, 'worker of the pool starts'),
        onOutput: (line) => void process.stdout.write(`${line}\n`),
        onLog: (line) => {
          if (!passLogLine(line, log)) process.stderr.write(`${id}: ${line}\n`);
        },
      }),
    leaveWithinMs: settings.drainMs + LEAVE_RESERVE_MS,
    clock: systemClock,
    log,
    onChange,
  });
}

/** The same at each start of this pool, so that its next life takes over at once; another one than any other worker's. */
function poolWorkerId(workerId: string | undefined, number: number): string {
  const suffix = `-pool-${number}`;
  return workerId === undefined ? hostWorkerId(suffix) : workerId.slice(0, 64 - suffix.length) + suffix;
}
