import { hash } from 'node:crypto';
import type { SessionTokens } from './names.js';
import { decodeToken, MAX_SESSION_KEY_BYTES } from './tokens.js';

const HASH_CHARS = 10;

/**
 * Names a batch: session, first sequence, short hash of all its sequences. The same batch has the same id in every
 * process, and two batches of one session never share one (L7). It is safe in URLs, headers and subjects.
 */
export function makeRunId(key: SessionTokens, seqs: readonly number[]): string {
  const short = hash('sha256', seqs.join(','), 'hex').slice(0, HASH_CHARS);
  return `${key.agentToken}.${key.sessionToken}.${seqs[0]}.${short}`;
}

const FORM = new RegExp(`^([^.]+)\\.([^.]+)\\.([1-9]\\d{0,15})\\.[0-9a-f]{${HASH_CHARS}}$`);

/**
 * The session of a run and the first sequence of its batch, or `undefined` for anything that `makeRunId` did not make. It
 * returns names, not tokens, so that only one place makes the session's subjects.
 */
export function parseRunId(runId: string): { agent: string; session: string; firstSeq: number } | undefined {
  const [, agentToken = '', sessionToken = '', digits] = FORM.exec(runId) ?? [];
  const agent = decodeToken(agentToken);
  const session = decodeToken(sessionToken);
  const firstSeq = Number(digits);
  if (agent === undefined || session === undefined || !Number.isSafeInteger(firstSeq)) return undefined;
  if (Buffer.byteLength(session) > MAX_SESSION_KEY_BYTES) return undefined;
  return { agent, session, firstSeq };
}
