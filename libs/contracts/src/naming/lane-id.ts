import type { SessionTokens } from './names.js';

/** The name of a session within its shard: the end of its subjects, `<agentToken>.<sessionToken>`. */
export function laneId(key: Pick<SessionTokens, 'agentToken' | 'sessionToken'>): string {
  return `${key.agentToken}.${key.sessionToken}`;
}

export function keyOfLane(id: string, shard: number): SessionTokens {
  const dot = id.indexOf('.');
  return { shard, agentToken: id.slice(0, dot), sessionToken: id.slice(dot + 1) };
}
