import type { SessionTokens } from './names.js';
import { decodeToken } from './tokens.js';

/** A session as people name it. An invalid token is shown as it is. */
export function sessionNames({ agentToken, sessionToken }: Pick<SessionTokens, 'agentToken' | 'sessionToken'>): {
  readonly agent: string;
  readonly session: string;
} {
  return { agent: agentName(agentToken), session: decodeToken(sessionToken) ?? sessionToken };
}

/** Only the agent: decoding the session's name takes far longer, and for most messages it is not needed. */
export function agentName(agentToken: string): string {
  return decodeToken(agentToken) ?? agentToken;
}
