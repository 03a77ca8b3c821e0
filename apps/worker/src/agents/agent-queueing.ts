import type { AgentSettings } from '#config';
import { STRATEGIES, withStrategy, type QueueSettings, type StrategyName } from '#contracts';
import type { BoundAgent } from './agent-runner.js';

type ByStrategy = ReadonlyMap<StrategyName, QueueSettings>;

/**
 * How messages of an agent wait: what the platform of their channel has, else what the agent has, each with the message's
 * own strategy. Lanes ask for every message, so all answers are made here once; what a message names only picks one.
 */
export function queueingOf({
  queueing,
  channels,
}: Pick<AgentSettings, 'queueing' | 'channels'>): BoundAgent['queueing'] {
  const ofAgent = byStrategy(queueing);
  const platforms = Object.entries(channels).map(([platform, settings]) => ({
    platform,
    queueing: settings.queueing,
    ofPlatform: byStrategy(settings.queueing),
  }));
  return (message) => {
    const channel = message?.channel;
    const strategy = message?.strategy;
    if (channel !== undefined) {
      for (const known of platforms) {
        if (isOf(channel, known.platform)) return pick(known.queueing, known.ofPlatform, strategy);
      }
    }
    return pick(queueing, ofAgent, strategy);
  };
}

function pick(usual: QueueSettings, rows: ByStrategy, strategy: StrategyName | undefined): QueueSettings {
  return strategy === undefined ? usual : (rows.get(strategy) ?? usual);
}

function byStrategy(settings: QueueSettings): ByStrategy {
  return new Map(STRATEGIES.map((strategy) => [strategy, withStrategy(settings, strategy)]));
}

/** Whether the platform's name is what stands before the first colon. (It holds no colon itself.) */
function isOf(channel: string, platform: string): boolean {
  if (!channel.startsWith(platform)) return false;
  return channel.length === platform.length || channel[platform.length] === ':';
}
