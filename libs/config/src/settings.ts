import { hostname } from 'node:os';
import { z } from 'zod';
import { AGENT_NAME_PATTERN, DEFAULT_SHARDS, NAMESPACE_PATTERN } from '#contracts';
import { agent } from './agents/agent-settings.js';
import { LONGEST_DURATION_MS, group, integer, text } from './field-checks.js';
import { guideAgent, guideConcurrency, guideSessions } from './queueing/guide-spelling.js';
import { isNatsUrl } from './addresses/nats-url.js';
import { openclawMessages, openclawQueue } from './queueing/openclaw-spelling.js';
import {
  PLATFORM_PATTERN,
  channel,
  concurrency,
  concurrencyOrStrategy,
  lockScope,
  onLockConflict,
} from './queueing/queue-fields.js';
import { placeOf } from './loading/setting-places.js';
import { guard, taskFrom } from './agents/task-fields.js';

/**
 * Every setting of this version. A problem report uses the text of a field's check as what was wanted.
 * All fields are optional, so that each source (file, environment, options) can be checked on its own.
 */

const LONGEST_KEEP_MS = 365 * 24 * 60 * 60 * 1000;

const http = group({
  /** Address to listen on: IP address or host name - default 127.0.0.1. Only loopback addresses in this version. */
  host: text(/^[A-Za-z0-9.:_%-]{1,253}$/, 'an IP address without brackets or a host name').default('127.0.0.1'),
  /** TCP port - default: unset, each role has its own (`up` and ingress 7070) - 0 = any free one, printed when ready. */
  port: integer(0, 65_535, 'a whole number from 0 (any free port) to 65535').optional(),
});

const nats = group({
  /** Broker, `nats://` or `tls://` (then TLS is required), may contain `user:password@` - default: unset = embedded server. */
  url: z
    .string('a URL like nats://host:4222')
    .max(2048, 'a URL of at most 2048 characters')
    .refine(isNatsUrl, 'one URL like nats://host:4222 or tls://user:password@host:4222, without a path')
    .optional(),
  /** Copies of each stream, servers - default 1. Used when the streams are created. */
  replicas: z.literal([1, 3, 5], '1, 3 or 5').default(1),
});

const worker = group({
  /**
   * Name of this worker in the cluster, one live process per name - default: host name and process id; the host name alone
   * in `up` with its own broker. A worker that restarts under its name takes over at once what its former process had.
   */
  id: text(/^[A-Za-z0-9_-]{1,64}$/, '1 to 64 of the characters A-Z a-z 0-9 _ -').optional(),
  /** Turns that may run at once in this worker - turns - default 1000 (turns mostly wait on I/O). */
  capacity: integer(1, 100_000, 'a whole number of turns from 1 to 100000').default(1000),
  /**
   * Memory for sessions that are no longer loaded, 16 bytes each, so that their next message needs no read from the broker -
   * bytes - default 16777216 (16 MiB, about a million sessions) - 0 = nothing.
   */
  headTableBytes: integer(0, 1_073_741_824, 'a whole number of bytes from 0 to 1073741824').default(16_777_216),
});

const membership = group({
  /** How long a silent worker still counts as alive - ms - default 10000. Its sessions wait that long. */
  ttlMs: integer(2_000, 600_000, 'whole milliseconds from 2000 to 600000').default(10_000),
  /** How often a worker reports that it is alive - ms - default 2000; at most a third of `ttlMs`. */
  renewMs: integer(100, 60_000, 'whole milliseconds from 100 to 60000').default(2_000),
});

const processes = 'a whole number of processes from 1 to 64';
const workerPool = group({
  /** The minimum of worker processes, which always run - processes - default 1. */
  minWorkers: integer(1, 64, processes).default(1),
  /** The maximum of worker processes, including those that finish their last turns - processes - default 5. */
  maxWorkers: integer(1, 64, processes).default(5),
  /** How long fewer workers must have been enough before one of them is stopped - seconds - default 60. */
  idleTimeout: z
    .number('seconds from 0.1 to 86400')
    .min(0.1, 'seconds from 0.1 to 86400')
    .max(86_400, 'seconds from 0.1 to 86400')
    .default(60),
});

const gateway = group({
  /** `up` runs its turns in separate processes, as many as the work needs - default: unset = in its own process. */
  workerPool: workerPool.optional(),
});

const inbox = group({
  /** How long messages are kept after they are decided - ms - default 86400000 (1 d); at least `dedup.windowMs`. */
  keepMs: integer(1_000, LONGEST_KEEP_MS, 'whole milliseconds from 1000 to 31536000000').default(86_400_000),
  /**
   * How long messages wait for an agent that no worker of their shard has - ms - default 604800000 (7 d). Then they become dead
   * letters.
   */
  agentMissingMs: integer(1_000, LONGEST_KEEP_MS, 'whole milliseconds from 1000 to 31536000000').default(604_800_000),
});

const dedup = group({
  /** How long the broker remembers message ids - ms - default 900000 (15 min). */
  windowMs: integer(1000, LONGEST_DURATION_MS, 'whole milliseconds from 1000 to 86400000').default(900_000),
});

const log = group({
  /** Least severe lines that are written: trace, debug, info, warn, error - default info - silent = none at all. */
  level: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'one of trace, debug, info, warn, error, silent')
    .default('info'),
  /**
   * Whether log lines may show what agents and handlers said when they failed, which may repeat what people wrote - true or
   * false - default false: only names of errors and statuses.
   */
  contents: z.boolean('true or false').default(false),
});

const isPowerOfTwo = (value: number): boolean => (value & (value - 1)) === 0;
const SHARDS_WANTED = 'a power of two from 16 to 512';

export const settingsSchema = z.strictObject(
  {
    http: http.prefault({}),
    /** Folder for everything that this host stores - path, relative to the working folder - default .lanekeeper. */
    dataDir: text(/^[^\0]{1,4096}$/, 'a path of 1 to 4096 characters').default('.lanekeeper'),
    nats: nats.prefault({}),
    /** Prefix of every subject and stream; two installations share a broker by two namespaces - default lk. */
    namespace: text(NAMESPACE_PATTERN, 'a-z and 0-9, a letter first, at most 16 characters').default('lk'),
    /** Number of parts that the sessions are divided into - shards - default 64. Fixed once the streams exist. */
    shards: integer(16, 512, SHARDS_WANTED).refine(isPowerOfTwo, SHARDS_WANTED).default(DEFAULT_SHARDS),
    /** Agents by name; `defaults` is not an agent but completes the others - default: main and echo, both echo. */
    agents: z
      .record(z.string().regex(AGENT_NAME_PATTERN), agent, 'a group of agents, each name with its settings')
      .prefault({}),
    /** Settings for messages of a platform that override their agent's, by the part of `channel` before the first colon. */
    channels: z
      .record(z.string().regex(PLATFORM_PATTERN), channel, 'a group of platforms, each name with its settings')
      .prefault({}),
    /** For all agents, under the names of the Chat SDK. */
    concurrency: concurrencyOrStrategy,
    lockScope,
    onLockConflict,
    /** For all agents, under the names of the concurrency guide. */
    agent: guideAgent.optional(),
    sessions: guideSessions.optional(),
    /** For all agents, under the names of OpenClaw. */
    messages: openclawMessages.optional(),
    worker: worker.prefault({}),
    membership: membership.prefault({}),
    gateway: gateway.prefault({}),
    guard: guard.prefault({}),
    inbox: inbox.prefault({}),
    /** How long a stopping process lets running turns end - ms - default 30000 - 0 = abort them at once. */
    drainMs: integer(0, LONGEST_DURATION_MS, 'whole milliseconds from 0 to 86400000').default(30_000),
    dedup: dedup.prefault({}),
    log: log.prefault({}),
  },
  'a group of settings',
);

/** What a file or the options of a command may contain. */
export type SettingsInput = z.input<typeof settingsSchema>;
/** Settings as they were written, checked field by field. */
export type CheckedSettings = z.output<typeof settingsSchema>;

/** By their places. */
const GROUPS: Readonly<Record<string, { readonly shape: object }>> = {
  '': settingsSchema,
  http,
  nats,
  worker,
  membership,
  gateway,
  'gateway.workerPool': workerPool,
  guard,
  inbox,
  dedup,
  log,
  'agents.*': agent,
  'agents.*.concurrency': concurrency,
  'agents.*.taskFrom': taskFrom,
  'channels.*': channel,
  'channels.*.concurrency': concurrency,
  concurrency,
  agent: guideAgent,
  'agent.concurrency': guideConcurrency,
  sessions: guideSessions,
  messages: openclawMessages,
  'messages.queue': openclawQueue,
};

/** The names of the top-level groups, for readers that find an empty one. */
export const GROUP_NAMES: readonly string[] = Object.keys(settingsSchema.shape).filter(
  (key) => key in GROUPS || `${key}.*` in GROUPS,
);

/** The allowed keys at a path. */
export function knownKeys(path: readonly PropertyKey[]): string[] {
  return Object.keys(GROUPS[placeOf(path)]?.shape ?? {});
}

/** The name of this host in the form of a worker's name. */
export function hostWorkerId(suffix = ''): string {
  return (
    hostname()
      .replace(/[^A-Za-z0-9_-]/g, '-')
      .slice(0, 64 - suffix.length) + suffix
  );
}
