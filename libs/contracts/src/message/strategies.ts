import { STRATEGIES, STRATEGY_TABLE, type StrategyName } from './strategy-table.js';

/**
 * The names of strategies and the settings that go with them. Names and numbers follow the Chat SDK and OpenClaw, so that
 * their users recognise them; `strategy-table` says what each strategy does.
 */

/** Names from other systems. */
export const STRATEGY_ALIASES: Readonly<Record<string, StrategyName>> = { followup: 'fifo' };

/** The names that people may write for a strategy. */
export const STRATEGY_WORDS: readonly string[] = [...STRATEGIES, ...Object.keys(STRATEGY_ALIASES)];

/** Strategies of a later version, so that they can be refused by name. */
const LATER_STRATEGIES: readonly string[] = ['interrupt', 'steer'];

/** The wanted text for a name that is not a strategy. */
export function wantedStrategy({ input }: { readonly input?: unknown }): string {
  const wanted = `one of ${STRATEGY_WORDS.join(', ')}`;
  const isLater = typeof input === 'string' && LATER_STRATEGIES.includes(input);
  return isLater ? `${wanted}: ${input} comes in a later version` : wanted;
}

/** Our own name for one of these names. */
export function strategyOf(word: string): StrategyName {
  return STRATEGY_ALIASES[word] ?? (word as StrategyName);
}

export const FULL_QUEUE_POLICIES = ['drop-oldest', 'drop-newest', 'summarize'] as const;
export type FullQueuePolicy = (typeof FULL_QUEUE_POLICIES)[number];

export const OVERFLOW_ACTIONS = ['busy-message', 'silent'] as const;
export type OverflowAction = (typeof OVERFLOW_ACTIONS)[number];

/** How messages of an agent wait and are taken; all times in ms. */
export interface QueueSettings {
  readonly strategy: StrategyName;
  /** How many messages may wait besides the running turn; Infinity = unlimited. */
  readonly maxQueueSize: number;
  readonly onQueueFull: FullQueuePolicy;
  /** How long a message may wait while its lane could have started it. */
  readonly queueEntryTtlMs: number;
  /** How long a message may wait in total, whatever the reason; undefined = for ever. */
  readonly queueTimeoutMs?: number | undefined;
  /** What the sender of a dropped or expired message is told. */
  readonly overflowAction: OverflowAction;
  /** The text for that. */
  readonly busyMessage: string;
  readonly debounceMs: number;
  /** The longest that a quiet window may last, however many messages come. */
  readonly maxDebounceMs: number;
  /** How many turns of a session may run at the same time with `concurrent`; Infinity = as many as the lane can distinguish. */
  readonly maxConcurrent: number;
  /** How long a numbered message waits for the numbers before it. */
  readonly gapTimeoutMs: number;
  /** How many messages a turn takes at most. */
  readonly maxTurnMessages: number;
  /** How many bytes of messages, as stored, a turn takes at most; the oldest message is always taken. */
  readonly maxTurnBytes: number;
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
  maxConcurrent: Number.POSITIVE_INFINITY,
  gapTimeoutMs: 2_000,
  maxTurnMessages: 500,
  // Most messages occur twice in a request: with the largest state it stays below the 1 MiB that servers accept by default.
  maxTurnBytes: 256 * 1024,
};

/** The longest that a message waits for its window; 0 when the strategy has none. */
export function longestWindowMs({ strategy, debounceMs, maxDebounceMs }: QueueSettings): number {
  return { none: 0, fixed: debounceMs, quiet: maxDebounceMs }[STRATEGY_TABLE[strategy].window];
}

/**
 * The settings for a message that names its own strategy. Windows were checked against the limits for the configured
 * strategies, and may not fit for another one: they are shortened, otherwise its messages would expire while they wait.
 */
export function withStrategy(settings: QueueSettings, strategy: StrategyName): QueueSettings {
  if (strategy === settings.strategy) return settings;
  const shortestLimitMs = Math.min(settings.queueEntryTtlMs, settings.queueTimeoutMs ?? Number.POSITIVE_INFINITY);
  const fits = (windowMs: number): number => Math.max(1, Math.min(windowMs, shortestLimitMs - 1));
  const debounceMs = fits(settings.debounceMs);
  return { ...settings, strategy, debounceMs, maxDebounceMs: fits(Math.max(debounceMs, settings.maxDebounceMs)) };
}
