import { hostname } from 'node:os';
import { z } from 'zod';
import { AGENT_NAME_PATTERN, DEFAULT_SHARDS, NAMESPACE_PATTERN } from '#contracts';
import { isNatsUrl } from './nats-url.js';

/**
 * Every setting of this version. The text given to a field's check is what a problem report says was wanted.
 * All fields may be left out, so any single source (file, environment, options) can be checked on its own.
 */

/** Node fires a timer at once when its delay does not fit in 31 bits, so no duration may come near that. */
const LONGEST_DURATION_MS = 24 * 60 * 60 * 1000;

const integer = (min: number, max: number, wanted: string) => z.int(wanted).min(min, wanted).max(max, wanted);
const text = (pattern: RegExp, wanted: string) => z.string(wanted).regex(pattern, wanted);
const group = <S extends z.ZodRawShape>(shape: S) =>
  z.strictObject(shape, `a group of settings (${Object.keys(shape).join(', ')})`);

const http = group({
  /** Address to listen on: IP address or host name - default 127.0.0.1. Only loopback addresses in this version. */
  host: text(/^[A-Za-z0-9.:_%-]{1,253}$/, 'an IP address without brackets or a host name').default('127.0.0.1'),
  /** TCP port - default: unset, each role has its own (`up` and ingress 7070) - 0 = any free one, printed when ready. */
  port: integer(0, 65_535, 'a whole number from 0 (any free port) to 65535').optional(),
});

const nats = group({
  /** Broker, `nats://` or `tls://` (TLS is then demanded), may hold `user:password@` - default: unset = embedded server. */
  url: z
    .string('a URL like nats://host:4222')
    .max(2048, 'a URL of at most 2048 characters')
    .refine(isNatsUrl, 'one URL like nats://host:4222 or tls://user:password@host:4222, without a path')
    .optional(),
  /** Copies of each stream, servers - default 1. Used when the streams are created. */
  replicas: z.literal([1, 3, 5], '1, 3 or 5').default(1),
});

const worker = group({
  /** Name of this worker in the cluster, one live process per name - default: host name and process id. */
  id: text(/^[A-Za-z0-9_-]{1,64}$/, '1 to 64 of the characters A-Z a-z 0-9 _ -').default(defaultWorkerId),
  /** Turns that may run at once in this worker - turns - default 1000 (turns mostly wait on I/O). */
  capacity: integer(1, 100_000, 'a whole number of turns from 1 to 100000').default(1000),
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
});

const agent = group({
  /** Name of the `@OnTurn` handler - default: unset = the handler that has the agent's own name. */
  handler: text(AGENT_NAME_PATTERN, 'a handler name: a-z 0-9 _ -, at most 64 characters').optional(),
});
export type AgentSettings = z.output<typeof agent>;

const isPowerOfTwo = (value: number): boolean => (value & (value - 1)) === 0;
const SHARDS_WANTED = 'a power of two from 16 to 512';

export const settingsSchema = z.strictObject(
  {
    http: http.prefault({}),
    /** Folder for everything that this host keeps - path, relative to the working folder - default .lanekeeper. */
    dataDir: text(/^[^\0]{1,4096}$/, 'a path of 1 to 4096 characters').default('.lanekeeper'),
    nats: nats.prefault({}),
    /** Prefix of every subject and stream; two installations share a broker by two namespaces - default lk. */
    namespace: text(NAMESPACE_PATTERN, 'a-z and 0-9, a letter first, at most 16 characters').default('lk'),
    /** Parts that all sessions are divided into - shards - default 64. Fixed once the streams exist. */
    shards: integer(16, 512, SHARDS_WANTED).refine(isPowerOfTwo, SHARDS_WANTED).default(DEFAULT_SHARDS),
    /** Agents by name; `defaults` is no agent but fills what the others leave out - default: main and echo, both echo. */
    agents: z
      .record(z.string().regex(AGENT_NAME_PATTERN), agent, 'a group of agents, each name with its settings')
      .prefault({}),
    worker: worker.prefault({}),
    /** How long a stopping process lets running turns end - ms - default 30000 - 0 = abort them at once. */
    drainMs: integer(0, LONGEST_DURATION_MS, 'whole milliseconds from 0 to 86400000').default(30_000),
    dedup: dedup.prefault({}),
    log: log.prefault({}),
  },
  'a group of settings',
);

/** What a file or the options of a command may say. */
export type SettingsInput = z.input<typeof settingsSchema>;
/** Settled settings: `dataDir` is absolute, `agents` holds real agents only. */
export type Settings = z.output<typeof settingsSchema>;

const GROUPS: Readonly<Record<string, { readonly shape: object }>> = { http, nats, worker, dedup, log };

/** The names of groups, for readers that meet an empty one. */
export const GROUP_NAMES: readonly string[] = [...Object.keys(GROUPS), 'agents'];

/** The keys that may stand at a path: the root for `[]`, else a group or one agent. */
export function knownKeys(path: readonly PropertyKey[]): string[] {
  const name = path[0];
  if (name === undefined) return Object.keys(settingsSchema.shape);
  return Object.keys(name === 'agents' ? agent.shape : (GROUPS[String(name)]?.shape ?? {}));
}

/** Always there. What runs them: a handler of their own name, and for `main` without one the built-in echo. */
const BUILT_IN_AGENTS: readonly string[] = ['main', 'echo'];

/**
 * Configured agents, each filled up from `agents.defaults`, and the built-in ones where their name is not configured.
 * The answer has no prototype: `constructor` is a valid agent name, and a lookup must not find it by accident.
 */
export function resolveAgents(configured: Settings['agents']): Settings['agents'] {
  const { defaults = {}, ...named } = configured;
  const resolved = Object.create(null) as Settings['agents'];
  for (const name of BUILT_IN_AGENTS) resolved[name] = { ...defaults };
  for (const [name, own] of Object.entries(named)) resolved[name] = { ...defaults, ...own };
  return resolved;
}

function defaultWorkerId(): string {
  const suffix = `-${process.pid}`;
  return (
    hostname()
      .replace(/[^A-Za-z0-9_-]/g, '-')
      .slice(0, 64 - suffix.length) + suffix
  );
}
