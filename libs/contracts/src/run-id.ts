import { hash } from 'node:crypto';
import type { SessionTokens } from './names.js';

/**
 * Names a batch: session, first sequence, short hash of all its sequences. The same batch has the same id in every
 * process, and two batches of one session never share one (L7). It is safe in URLs, headers and subjects.
 */
export function makeRunId(key: SessionTokens, seqs: readonly number[]): string {
  const short = hash('sha256', seqs.join(','), 'hex').slice(0, 10);
  return `${key.agentToken}.${key.sessionToken}.${seqs[0]}.${short}`;
}
