import { hash } from 'node:crypto';
import type { SessionTokens } from './names.js';

/** 128 bits in base64url. The broker keeps one entry per id and window in memory, so it is short whatever the id is. */
const HASH_CHARS = 22;

/**
 * The `Nats-Msg-Id` of a message: the broker stores each agent, session and id once per dedup window. `afterFormerSeq` is
 * the sequence of a former message of the same id that is free again (`isIdFree`): from there on it is a new message, but again only
 * one, however many callers send it at once.
 */
export function dedupId(key: SessionTokens, messageId: string, afterFormerSeq = 0): string {
  // Tokens hold no dot, so no two of these are joined to the same text.
  const text = `${key.agentToken}.${key.sessionToken}.${afterFormerSeq}.${messageId}`;
  return hash('sha256', text, 'base64url').slice(0, HASH_CHARS);
}
