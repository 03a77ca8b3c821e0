import type { Names, SessionTokens } from '#contracts';
import { notFound } from '#http';
import type { SessionPath } from '../session-route-fields.js';
import type { SessionHistory } from './session-history.client.js';

/**
 * Which sessions a route may name. Messages go to any session of a configured agent. Operators may also look at, and cancel,
 * stored sessions of agents that are not configured: their messages wait, and people must see and end them.
 */
export class SessionKeys {
  private readonly agents: ReadonlySet<string>;

  constructor(
    private readonly names: Names,
    agents: readonly string[],
    private readonly history: Pick<SessionHistory, 'hasSession'>,
  ) {
    this.agents = new Set(agents);
  }

  of({ agent, session }: SessionPath): SessionTokens {
    this.expectAgent(agent);
    return this.names.sessionTokens(agent, session);
  }

  async ofStored(path: SessionPath): Promise<SessionTokens> {
    const key = await this.findStored(path);
    return key ?? this.of(path);
  }

  /** As `ofStored`; `undefined` = there is no such session. */
  async findStored({ agent, session }: SessionPath): Promise<SessionTokens | undefined> {
    const key = this.names.sessionTokens(agent, session);
    return this.agents.has(agent) || (await this.history.hasSession(key)) ? key : undefined;
  }

  expectAgent(agent: string): void {
    if (this.agents.has(agent)) return;
    const known = [...this.agents].join(', ');
    throw notFound(
      'agent',
      `agent: found none of this name, wanted one of ${known}; add it under agents in the settings`,
    );
  }
}
