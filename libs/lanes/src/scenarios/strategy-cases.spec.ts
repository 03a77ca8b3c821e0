import { describe, expect, it } from 'vitest';
import { STRATEGIES, type QueueSettings, type StrategyName } from '#contracts';
import { setUpSession } from './lane-strategies.fixture.js';

/**
 * Every strategy in every case in which the Chat SDK and OpenClaw differ, as one table: the first message of an idle session,
 * one that comes while a turn runs, what runs behind it, and what a throw leaves. Where a peer loses or turns something
 * round (its known defects), the row says what is right.
 */

/** A number is a message; `+n` lets n ms pass; `end` and `throw` end the oldest turn that runs. */
type Step = number | `+${number}` | 'end' | 'throw';

interface Case {
  readonly script: readonly Step[];
  /** Batches in the order in which they began. */
  readonly runs: readonly (readonly number[])[];
  /** What is not decided `handled`. */
  readonly otherwise?: Readonly<Record<number, string>>;
}

const QUIET_MS = 100;
const SETTINGS: Partial<QueueSettings> = { debounceMs: QUIET_MS, maxDebounceMs: 250, maxConcurrent: 2 };

const CASES: Readonly<Record<string, Readonly<Record<StrategyName, Case>>>> = {
  'the first message of an idle session': {
    queue: { script: [1], runs: [[1]] },
    fifo: { script: [1], runs: [[1]] },
    collect: { script: [1, '+99'], runs: [] },
    debounce: { script: [1, '+99'], runs: [] },
    burst: { script: [1, '+99'], runs: [] },
    drop: { script: [1], runs: [[1]] },
    concurrent: { script: [1], runs: [[1]] },
  },
  'its window': {
    queue: { script: [1, '+60', 2], runs: [[1]] },
    fifo: { script: [1, '+60', 2], runs: [[1]] },
    collect: { script: [1, '+60', 2, '+60', 3, '+100'], runs: [[1, 2, 3]] },
    debounce: { script: [1, '+60', 2, '+60', 3, '+100'], runs: [[1, 2, 3]] },
    // Fixed, not sliding.
    burst: { script: [1, '+60', 2, '+60', 3], runs: [[1, 2]] },
    drop: { script: [1, '+60', 2], runs: [[1]], otherwise: { 2: 'dropped' } },
    concurrent: { script: [1, '+60', 2], runs: [[1], [2]] },
  },
  'messages that come while a turn runs, and what runs behind it': {
    queue: { script: [1, 2, 3, 'end', 'end'], runs: [[1], [2, 3]] },
    fifo: { script: [1, 2, 3, 'end', 'end', 'end'], runs: [[1], [2], [3]] },
    collect: { script: [1, '+100', 2, 3, 'end', '+100', 'end'], runs: [[1], [2, 3]] },
    debounce: {
      script: [1, '+100', 2, 3, 'end', '+100', 'end'],
      runs: [[1], [2, 3]],
      otherwise: { 2: 'superseded' },
    },
    // At once: a session has no second window.
    burst: { script: [1, '+100', 2, '+10', 3, 'end', 'end'], runs: [[1], [2, 3]] },
    drop: { script: [1, 2, 3, 'end', 4, 'end'], runs: [[1], [4]], otherwise: { 2: 'dropped', 3: 'dropped' } },
    concurrent: { script: [1, 2, 3, 'end', 'end', 'end'], runs: [[1], [2], [3]] },
  },
  'a handler that throws: what waits is served without a further message, and in order': {
    queue: { script: [1, 2, 3, 'throw', 'end'], runs: [[1], [2, 3]], otherwise: { 1: 'dead' } },
    fifo: { script: [1, 2, 3, 'throw', 'end', 'end'], runs: [[1], [2], [3]], otherwise: { 1: 'dead' } },
    collect: { script: [1, '+100', 2, 'throw', '+100', 'end'], runs: [[1], [2]], otherwise: { 1: 'dead' } },
    debounce: { script: [1, '+100', 2, 'throw', '+100', 'end'], runs: [[1], [2]], otherwise: { 1: 'dead' } },
    burst: { script: [1, '+100', 2, 'throw', 'end'], runs: [[1], [2]], otherwise: { 1: 'dead' } },
    drop: { script: [1, 'throw', 2, 'end'], runs: [[1], [2]], otherwise: { 1: 'dead' } },
    concurrent: { script: [1, 2, 3, 'throw', 'end', 'end'], runs: [[1], [2], [3]], otherwise: { 1: 'dead' } },
  },
  'a session that never falls silent': {
    queue: { script: [1, 'end', 2, 'end'], runs: [[1], [2]] },
    fifo: { script: [1, 'end', 2, 'end'], runs: [[1], [2]] },
    collect: { script: [1, '+90', 2, '+90', 3, '+70'], runs: [[1, 2, 3]] },
    debounce: { script: [1, '+90', 2, '+90', 3, '+70'], runs: [[1, 2, 3]] },
    burst: { script: [1, '+90', 2, '+10'], runs: [[1, 2]] },
    drop: { script: [1, 'end', 2, 'end'], runs: [[1], [2]] },
    concurrent: { script: [1, 2, 'end', 'end'], runs: [[1], [2]] },
  },
};

describe.each(Object.entries(CASES))('%s', (_title, rows) => {
  it.each(STRATEGIES)('%s', async (strategy) => {
    const { script, runs, otherwise = {} } = rows[strategy];
    const { send, turns, clock, batches, decisions } = setUpSession({ ...SETTINGS, strategy });
    turns.policy = { ...turns.policy, maxAttempts: 1 };
    for (const step of script) {
      const [oldest] = turns.of('a');
      if (typeof step === 'number') await send(step);
      else if (step === 'end') oldest?.end();
      else if (step === 'throw') oldest?.fail('Thrown');
      else await clock.advance(Number(step));
      await clock.advance(0);
    }
    expect(batches()).toEqual(runs);
    const others = decisions().filter(([, decision]) => decision !== 'handled');
    expect(Object.fromEntries(others)).toEqual(otherwise);
  });
});
