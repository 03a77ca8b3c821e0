import type { AgentSettings } from '#config';
import { STRATEGIES, withStrategy, type QueueSettings, type StrategyName } from '#contracts';
import type { BoundAgent } from './agent-runner.js';

type ByStrategy = ReadonlyMap<StrategyName, QueueSettings>;

/**
 * Queueing settings for messages of an agent: the settings of the channel's platform, or else the agent's own. A
 * message may replace the strategy. Lanes ask for every message, so every combination is built once, here.
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

/** Whether the part of the channel before its first colon is this platform. A platform name contains no colon. */
function isOf(channel: string, platform: string): boolean {
  if (!channel.startsWith(platform)) return false;
  return channel.length === platform.length || channel[platform.length] === ':';
}
