/**
 * What becomes of messages of a session that overlap. Words and numbers follow the Chat SDK and OpenClaw, so that their
 * users recognise them; the rows of the strategies stand in the lanes.
 */

export const STRATEGIES = ['queue', 'fifo', 'collect', 'debounce', 'burst', 'drop'] as const;
export type StrategyName = (typeof STRATEGIES)[number];

/** Names of other systems. */
export const STRATEGY_ALIASES: Readonly<Record<string, StrategyName>> = { followup: 'fifo' };

export const FULL_QUEUE_POLICIES = ['drop-oldest', 'drop-newest', 'summarize'] as const;
export type FullQueuePolicy = (typeof FULL_QUEUE_POLICIES)[number];

export const OVERFLOW_ACTIONS = ['busy-message', 'silent'] as const;
export type OverflowAction = (typeof OVERFLOW_ACTIONS)[number];

/** How messages of an agent wait and are taken; all times in ms. */
export interface QueueSettings {
  readonly strategy: StrategyName;
  /** How many messages may wait beside the running turn; Infinity = unlimited. */
  readonly maxQueueSize: number;
  readonly onQueueFull: FullQueuePolicy;
  /** How long a message may wait while its lane could have started it. */
  readonly queueEntryTtlMs: number;
  /** How long a message may wait by the clock on the wall, whatever the reason; undefined = for ever. */
  readonly queueTimeoutMs?: number | undefined;
  /** What a sender hears whose message is dropped or expires. */
  readonly overflowAction: OverflowAction;
  /** The text of that. */
  readonly busyMessage: string;
  readonly debounceMs: number;
  /** The longest that a quiet window may last, however many messages come. */
  readonly maxDebounceMs: number;
}

export const QUEUE_DEFAULTS: QueueSettings = {
  strategy: 'queue',
  maxQueueSize: 10,
  onQueueFull: 'drop-oldest',
  queueEntryTtlMs: 90_000,
  overflowAction: 'busy-message',
  busyMessage: 'I am busy and could not take this message. Please send it again in a moment.',
  debounceMs: 1_500,
  maxDebounceMs: 10_000,
};
