import { hash } from 'node:crypto';
import type { SessionTokens } from './names.js';

/** 128 bits in base64url. The broker keeps one entry per id and window in memory, so it is short whatever the id is. */
const HASH_CHARS = 22;

/** The `Nats-Msg-Id` of a message: the broker stores each agent, session and id once per dedup window. */
export function dedupId(key: SessionTokens, messageId: string): string {
  // Tokens hold no dot, so no two triples are joined to the same text.
  return hash('sha256', `${key.agentToken}.${key.sessionToken}.${messageId}`, 'base64url').slice(0, HASH_CHARS);
}
