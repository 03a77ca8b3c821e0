/**
 * The strategies as rows of one machine. What a lane does with overlapping messages is three choices:
 *
 *   window  when a batch may begin: at once, after a quiet time, or a fixed time after its first message
 *   take    what a turn gets: the oldest message, all messages of the oldest one's route, or the same with the latest as its message
 *   busy    what happens to a message that comes while another one runs or is about to run
 *
 * A new strategy is a new row, or a new value of one choice. Its name, the settings that apply to it and the checks of these
 * settings follow from the row.
 */
export interface StrategyRow {
  readonly window: 'none' | 'quiet' | 'fixed';
  readonly take: 'one' | 'route' | 'latest';
  readonly busy: 'wait' | 'drop' | 'concurrent';
}

/** In the order in which people see them. */
const ROWS = {
  queue: { window: 'none', take: 'route', busy: 'wait' },
  fifo: { window: 'none', take: 'one', busy: 'wait' },
  collect: { window: 'quiet', take: 'route', busy: 'wait' },
  debounce: { window: 'quiet', take: 'latest', busy: 'wait' },
  burst: { window: 'fixed', take: 'route', busy: 'wait' },
  drop: { window: 'none', take: 'one', busy: 'drop' },
  concurrent: { window: 'none', take: 'one', busy: 'concurrent' },
} as const satisfies Readonly<Record<string, StrategyRow>>;

/** Names follow the Chat SDK and OpenClaw, so that their users recognise them. */
export type StrategyName = keyof typeof ROWS;

export const STRATEGY_TABLE: Readonly<Record<StrategyName, StrategyRow>> = ROWS;
export const STRATEGIES = Object.keys(ROWS) as readonly StrategyName[];

/** The strategies whose rows are like this, in the order of the table. */
export function strategiesWith(isLikeThis: (row: StrategyRow) => boolean): readonly StrategyName[] {
  return STRATEGIES.filter((strategy) => isLikeThis(STRATEGY_TABLE[strategy]));
}

/** Its messages run at the same time as each other, and as messages that wait for their turn. */
export function isConcurrent(strategy: StrategyName): boolean {
  return STRATEGY_TABLE[strategy].busy === 'concurrent';
}

/** Its messages wait for later ones, even while nothing runs. */
export function hasWindow(strategy: StrategyName): boolean {
  return STRATEGY_TABLE[strategy].window !== 'none';
}

/** A window that every message restarts; `maxDebounceMs` ends it. */
export function hasQuietWindow(strategy: StrategyName): boolean {
  return STRATEGY_TABLE[strategy].window === 'quiet';
}
