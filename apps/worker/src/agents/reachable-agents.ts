import { readAgentTargets, SettingsError, type AgentSettings, type AgentTarget } from '#config';

type Agents = Readonly<Record<string, AgentSettings>>;

export interface ReachableAgents {
  /** As they were; one that this process cannot call says what it lacks. */
  readonly agents: Agents;
  readonly targets: ReadonlyMap<string, AgentTarget>;
}

/**
 * Where agents are called from here. Settings of the installation may say of a header's value only where it stands, e.g. in a
 * variable, and that may be set for other workers alone. An agent that this process was told of itself stops its start instead.
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
