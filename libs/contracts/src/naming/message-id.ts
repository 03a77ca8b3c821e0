import { hash } from 'node:crypto';
import type { SessionTokens } from './names.js';

/** 128 bits in base64url. The broker keeps one entry per id and window in memory, so the hash is short for any id. */
const HASH_CHARS = 22;

/**
 * The `Nats-Msg-Id` of a message: the broker stores each agent, session and id once per dedup window. `afterFormerSeq` is
 * the sequence of an earlier message whose id is free again (`isIdFree`): after it the id stands for a new message, but again
 * for only one, however many callers send it at once.
 */
export function dedupId(key: SessionTokens, messageId: string, afterFormerSeq = 0): string {
  // Tokens contain no dot, so no two of these have the same text.
  const text = `${key.agentToken}.${key.sessionToken}.${afterFormerSeq}.${messageId}`;
  return hash('sha256', text, 'base64url').slice(0, HASH_CHARS);
}
