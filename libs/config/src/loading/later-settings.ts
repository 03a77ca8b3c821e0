import { placeOf } from './setting-places.js';

/**
 * Settings that are planned and have no effect yet. They are refused by name: if they were silently accepted, a
 * configuration would look as if it limited or protected something.
 */

/** By the place of their group. */
const LATER_KEYS: Readonly<Record<string, readonly string[]>> = {
  '': [
    'console',
    'deadlock',
    'egress',
    'ingress',
    'limits',
    'providers',
    'redis',
    'schedules',
    'telegram',
    'tokens',
    'workspace',
  ],
  'agents.*': [
    'maxConcurrentTotal',
    'rateLimitStrategy',
    'sessionConcurrency',
    'stallMs',
    'toolTimeoutMs',
    'workspace',
  ],
  agent: ['deadlock_detection', 'tool_call_timeout_ms'],
  'agent.concurrency': ['max_concurrent_total'],
  dedup: ['fallback'],
};

/** Names from other systems that have another name here, and would have no effect under their own. */
const PEER_WORDS: Readonly<Record<string, string>> = {
  dedupeTtlMs: 'dedup.windowMs',
  maxLockLifetimeMs: 'agents.defaults.turnTimeoutMs',
};

/** Our name for `key`. */
export function ownWordFor(key: string): string | undefined {
  return Object.hasOwn(PEER_WORDS, key) ? PEER_WORDS[key] : undefined;
}

export const LATER_VARIABLES: readonly string[] = ['LANEKEEPER_REDIS_URL', 'LANEKEEPER_TOKENS_FILE'];

/** Whether `key`, found at `path`, is a setting of a later version. */
export function isLaterSetting(path: readonly PropertyKey[], key: string): boolean {
  return LATER_KEYS[placeOf(path)]?.includes(key) ?? false;
}
