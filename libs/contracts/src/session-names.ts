import type { SessionTokens } from './names.js';
import { decodeToken } from './tokens.js';

/** A session as people name it. A token that names nothing is told as it is. */
export function sessionNames({ agentToken, sessionToken }: Pick<SessionTokens, 'agentToken' | 'sessionToken'>): {
  readonly agent: string;
  readonly session: string;
} {
  return { agent: decodeToken(agentToken) ?? agentToken, session: decodeToken(sessionToken) ?? sessionToken };
}
