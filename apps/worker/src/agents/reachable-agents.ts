import { readAgentTargets, SettingsError, type AgentSettings, type AgentTarget } from '#config';

type Agents = Readonly<Record<string, AgentSettings>>;

export interface ReachableAgents {
  /** All agents. An agent that this process cannot call has `lacks`. */
  readonly agents: Agents;
  readonly targets: ReadonlyMap<string, AgentTarget>;
}

/**
 * The address and headers of each agent. Shared settings may name a variable or a file for a header's value, and only
 * other workers may have it: then the agent gets `lacks`. If this process's own settings name the agent, the error
 * stops the start instead.
 */
export function reachableAgents(agents: Agents, isToldOf: (agent: string) => boolean): ReachableAgents {
  const targets = new Map<string, AgentTarget>();
  const reachable: Record<string, AgentSettings> = Object.assign(Object.create(null), agents);
  for (const [name, agent] of Object.entries(agents)) {
    if (agent.lacks !== undefined) continue;
    try {
      for (const [, target] of readAgentTargets({ [name]: agent })) targets.set(name, target);
    } catch (error) {
      if (!(error instanceof SettingsError) || isToldOf(name)) throw error;
      reachable[name] = { ...agent, lacks: error.problems.map(({ field }) => field).join(', ') };
    }
  }
  return { agents: reachable, targets };
}
