import type { SessionTokens } from './names.js';
import { decodeToken } from './tokens.js';

/** A session as people name it. A token that names nothing is told as it is. */
export function sessionNames({ agentToken, sessionToken }: Pick<SessionTokens, 'agentToken' | 'sessionToken'>): {
  readonly agent: string;
  readonly session: string;
} {
  return { agent: agentName(agentToken), session: decodeToken(sessionToken) ?? sessionToken };
}

/** The agent alone: a session's name takes far longer, and of most messages nobody wants to know it. */
export function agentName(agentToken: string): string {
  return decodeToken(agentToken) ?? agentToken;
}
