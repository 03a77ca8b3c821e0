import type { Names, SessionTokens } from '#contracts';
import { notFound } from '#http';
import type { SessionPath } from './request-fields.js';

/** Which sessions there are to talk about: any key, of an agent that is configured. */
export class SessionKeys {
  private readonly agents: ReadonlySet<string>;

  constructor(
    private readonly names: Names,
    agents: readonly string[],
  ) {
    this.agents = new Set(agents);
  }

  of({ agent, session }: SessionPath): SessionTokens {
    this.expectAgent(agent);
    return this.names.sessionTokens(agent, session);
  }

  expectAgent(agent: string): void {
    if (this.agents.has(agent)) return;
    const known = [...this.agents].join(', ');
    throw notFound(
      'agent',
      `agent: found none of this name, wanted one of ${known}; add it under agents in the settings`,
    );
  }

  hasAgent(agent: string): boolean {
    return this.agents.has(agent);
  }
}
