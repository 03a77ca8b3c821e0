import {
  TURN_DEFAULTS,
  turnFields,
  type AgentInput,
  type AgentSettings,
  type ChannelSettings,
  type TurnSettings,
} from './agent-settings.js';
import { agentNames, planQueueing, type QueueingCase } from '../queueing/queueing-plan.js';
import type { CheckedSettings } from '../settings.js';
import type { Settings } from '../settled-settings.js';

/**
 * Configured agents, each completed from `agents.defaults`, and the built-in ones unless their name is configured.
 * The result has no prototype: `constructor` is a valid agent name, and a lookup must not find an inherited property.
 */
export function resolveAgents(settings: CheckedSettings): Settings['agents'] {
  const { defaults = {}, ...named } = settings.agents;
  const { cases } = planQueueing(settings);
  const resolved = Object.create(null) as Record<string, AgentSettings>;
  for (const name of agentNames(settings)) {
    const own = Object.hasOwn(named, name) ? named[name] : undefined;
    resolved[name] = {
      ...resolveTurns(defaults, own ?? {}),
      ...resolveQueueing(cases.filter(({ agent }) => agent === name)),
    };
  }
  return resolved;
}

function resolveTurns(defaults: AgentInput, own: AgentInput): TurnSettings {
  return { ...TURN_DEFAULTS, ...turnsOf(defaultsFor(own, defaults)), ...turnsOf(own) };
}

/** What runs an agent is one choice: an agent's own handler is not combined with the defaults' url. */
function defaultsFor(own: AgentInput, defaults: AgentInput): AgentInput {
  if (own.handler === undefined && own.url === undefined) return defaults;
  const { url, handler: _handler, ...shared } = defaults;
  if (own.url !== undefined && url === undefined) return shared;
  // Secrets for one address are not sent to another.
  const { secret: _secret, headers: _headers, ...rest } = shared;
  return rest;
}

/**
 * Without the `queueing` fields, and with `sessionTimeout` under its other name, so that either name overrides the defaults.
 */
function turnsOf({ sessionTimeout, ...input }: AgentInput): Partial<TurnSettings> {
  const turns = Object.fromEntries(Object.entries(input).filter(([key]) => Object.hasOwn(turnFields, key)));
  return sessionTimeout === undefined ? turns : { turnTimeoutMs: Math.round(sessionTimeout * 1_000), ...turns };
}

function resolveQueueing(cases: readonly QueueingCase[]): Omit<AgentSettings, keyof TurnSettings> {
  const channels = Object.create(null) as Record<string, ChannelSettings>;
  let own = {} as ChannelSettings;
  for (const { platform, choices } of cases) {
    const { lockScope, ...queueing } = choices;
    const settled = { queueing, ...(lockScope === undefined ? {} : { lockScope }) };
    if (platform === undefined) own = settled;
    else channels[platform] = settled;
  }
  return { ...own, channels };
}
