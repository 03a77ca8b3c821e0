/**
 * Settings that are planned and have no effect yet. They are refused by name: taken in silence, one would make a
 * configuration look as if it limited or protected something.
 */

const LATER_ROOT_KEYS = [
  'agent',
  'channels',
  'concurrency',
  'console',
  'deadlock',
  'egress',
  'guard',
  'ingress',
  'limits',
  'lockScope',
  'onLockConflict',
  'providers',
  'redis',
  'schedules',
  'sessions',
  'telegram',
  'tokens',
  'workspace',
];

const LATER_AGENT_KEYS = [
  'cap',
  'concurrency',
  'debounceMs',
  'drop',
  'gapTimeoutMs',
  'lockScope',
  'maxConcurrent',
  'maxConcurrentTotal',
  'maxDebounceMs',
  'maxQueueSize',
  'onLockConflict',
  'onQueueFull',
  'overflowAction',
  'queueEntryTtlMs',
  'queueTimeoutMs',
  'rateLimitStrategy',
  'sessionConcurrency',
  'stallMs',
  'strategy',
  'taskFrom',
  'toolTimeoutMs',
  'workspace',
];

const LATER_GROUP_KEYS: Readonly<Record<string, readonly string[]>> = { dedup: ['fallback'] };

export const LATER_VARIABLES: readonly string[] = ['LANEKEEPER_REDIS_URL', 'LANEKEEPER_TOKENS_FILE'];

/** Whether `key`, found at `path`, is a setting of a later version. */
export function isLaterSetting(path: readonly PropertyKey[], key: string): boolean {
  if (path.length === 0) return LATER_ROOT_KEYS.includes(key);
  if (path[0] === 'agents') return LATER_AGENT_KEYS.includes(key);
  return LATER_GROUP_KEYS[String(path[0])]?.includes(key) ?? false;
}
