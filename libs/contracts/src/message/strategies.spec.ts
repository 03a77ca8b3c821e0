import { describe, expect, it } from 'vitest';
import {
  QUEUE_DEFAULTS,
  STRATEGY_ALIASES,
  longestWindowMs,
  strategyOf,
  wantedStrategy,
  withStrategy,
} from './strategies.js';
import { STRATEGIES, type StrategyName } from './strategy-table.js';

describe('the names', () => {
  it('of other systems lead to existing strategies', () => {
    expect(STRATEGIES).toEqual(expect.arrayContaining(Object.values(STRATEGY_ALIASES)));
  });

  it('of our own stay as they are, and followup is fifo', () => {
    expect(STRATEGIES.map(strategyOf)).toEqual(STRATEGIES);
    expect(strategyOf('followup')).toBe('fifo');
  });

  it('are all listed for an unknown name, and a later strategy is announced', () => {
    const all = `one of ${STRATEGIES.join(', ')}, followup`;
    const others = ['latest', 'queue', 7, null, undefined, { toString: 1 }];
    for (const input of others) expect(wantedStrategy({ input })).toBe(all);
    for (const input of ['steer', 'interrupt'])
      expect(wantedStrategy({ input })).toBe(`${all}: ${input} comes in a later version`);
  });
});

describe('the longest window', () => {
  it.each<[StrategyName, number]>([
    ['queue', 0],
    ['fifo', 0],
    ['drop', 0],
    ['collect', 10_000],
    ['debounce', 10_000],
    ['burst', 1_500],
    ['concurrent', 0],
  ])('of %s is %i ms', (strategy, windowMs) => {
    expect(longestWindowMs({ ...QUEUE_DEFAULTS, strategy })).toBe(windowMs);
  });
});

describe('a message with a strategy of its own', () => {
  it('gets the very settings of its agent when that has the same strategy', () => {
    expect(withStrategy(QUEUE_DEFAULTS, 'queue')).toBe(QUEUE_DEFAULTS);
  });

  it('gets every other field from its agent', () => {
    const settings = { ...QUEUE_DEFAULTS, maxQueueSize: 3, busyMessage: 'later', debounceMs: 700 };
    expect(withStrategy(settings, 'debounce')).toEqual({ ...settings, strategy: 'debounce' });
  });

  it.each([
    ['queueEntryTtlMs', { queueEntryTtlMs: 1_000 }],
    ['queueTimeoutMs', { queueTimeoutMs: 1_000 }],
  ])('does not expire by %s in a default window', (_limit, limits) => {
    const { debounceMs, maxDebounceMs } = withStrategy({ ...QUEUE_DEFAULTS, ...limits }, 'debounce');
    expect([debounceMs, maxDebounceMs]).toEqual([999, 999]);
  });

  it('is not started before its agent’s window for bursts is over', () => {
    const settings = { ...QUEUE_DEFAULTS, strategy: 'burst', debounceMs: 20_000 } as const;
    expect(withStrategy(settings, 'collect')).toMatchObject({ debounceMs: 20_000, maxDebounceMs: 20_000 });
  });
});
