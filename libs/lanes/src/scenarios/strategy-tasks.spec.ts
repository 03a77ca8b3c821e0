import { describe, expect, it } from 'vitest';
import { STRATEGIES, type QueueSettings, type StrategyName } from '#contracts';
import { setUpTasks } from './lane-tasks.fixture.js';

/**
 * Every strategy with a message that starts a task in the middle of a backlog: it runs alone, what comes before it on its
 * route runs before it, and what comes behind it behind it (L2).
 */

/** A number is a message, `k5` message 5 with the task k; `+n` lets n ms pass; `end` ends the oldest turn that runs. */
type Step = number | `+${number}` | `${'k' | 'l'}${number}` | 'end';

interface Case {
  readonly script: readonly Step[];
  readonly runs: readonly (readonly number[])[];
  readonly otherwise?: Readonly<Record<number, string>>;
}

const SETTINGS: Partial<QueueSettings> = { debounceMs: 100, maxDebounceMs: 250, maxConcurrent: 2 };

const CASES: Readonly<Record<string, Readonly<Record<StrategyName, Case>>>> = {
  'behind a turn that runs': {
    queue: { script: [1, 2, 3, 'k4', 5, 6, 'end', 'end', 'end', 'end'], runs: [[1], [2, 3], [4], [5, 6]] },
    fifo: { script: [1, 2, 'k3', 4, 'end', 'end', 'end', 'end'], runs: [[1], [2], [3], [4]] },
    collect: {
      script: [1, '+100', 2, 3, 'k4', 5, 6, 'end', '+100', 'end', '+100', 'end', '+100', 'end'],
      runs: [[1], [2, 3], [4], [5, 6]],
    },
    debounce: {
      script: [1, '+100', 2, 3, 'k4', 5, 6, 'end', '+100', 'end', '+100', 'end', '+100', 'end'],
      runs: [[1], [2, 3], [4], [5, 6]],
      otherwise: { 2: 'superseded', 5: 'superseded' },
    },
    burst: { script: [1, '+100', 2, 3, 'k4', 5, 6, 'end', 'end', 'end', 'end'], runs: [[1], [2, 3], [4], [5, 6]] },
    drop: { script: [1, 'k2', 'end', 'k3', 'end'], runs: [[1], [3]], otherwise: { 2: 'dropped' } },
    concurrent: { script: [1, 'k2', 3, 'k4', 'end', 'end', 'end'], runs: [[1], [2], [3]], otherwise: { 4: 'refused' } },
  },
  'first of an idle session': {
    queue: { script: ['k1', 2, 3, 'end', 'end'], runs: [[1], [2, 3]] },
    fifo: { script: ['k1', 2, 'end', 'end'], runs: [[1], [2]] },
    // Its own quiet time: what comes behind it does not make it longer.
    collect: { script: ['k1', '+60', 2, '+40', 'end', '+100', 'end'], runs: [[1], [2]] },
    debounce: { script: ['k1', '+60', 2, '+40', 'end', '+100', 'end'], runs: [[1], [2]] },
    burst: { script: ['k1', '+60', 2, '+40', 'end'], runs: [[1], [2]] },
    drop: { script: ['k1', 2, 'end'], runs: [[1]], otherwise: { 2: 'dropped' } },
    concurrent: { script: ['k1', 2, 'end', 'end'], runs: [[1], [2]] },
  },
  'with others in its quiet time': {
    queue: { script: ['k1'], runs: [[1]] },
    fifo: { script: ['k1'], runs: [[1]] },
    collect: { script: ['k1', '+60', 2, '+40'], runs: [[1]] },
    debounce: { script: ['k1', '+60', 2, '+40'], runs: [[1]] },
    burst: { script: ['k1', '+60', 2, '+40'], runs: [[1]] },
    drop: { script: ['k1'], runs: [[1]] },
    concurrent: { script: ['k1'], runs: [[1]] },
  },
  'in the window of others': {
    queue: { script: [1, 'k2', 'end', 'end'], runs: [[1], [2]] },
    fifo: { script: [1, 'k2', 'end', 'end'], runs: [[1], [2]] },
    collect: { script: [1, '+60', 'k2', '+40', 'end', '+60', 'end'], runs: [[1], [2]] },
    debounce: { script: [1, '+60', 'k2', '+40', 'end', '+60', 'end'], runs: [[1], [2]] },
    burst: { script: [1, '+60', 'k2', '+40', 'end', 'end'], runs: [[1], [2]] },
    drop: { script: [1, 'k2', 'end'], runs: [[1]], otherwise: { 2: 'dropped' } },
    concurrent: { script: [1, 'k2', 'end', 'end'], runs: [[1], [2]] },
  },
  'two of one key, and one of another': {
    queue: {
      script: [1, 'k2', 'k3', 'l4', 5, 'end', 'end', 'end', 'end'],
      runs: [[1], [2], [4], [5]],
      otherwise: { 3: 'refused' },
    },
    fifo: { script: [1, 'k2', 'k3', 'l4', 'end', 'end', 'end'], runs: [[1], [2], [4]], otherwise: { 3: 'refused' } },
    collect: {
      script: ['k1', 'k2', 'l3', '+100', 'end', '+100', 'end'],
      runs: [[1], [3]],
      otherwise: { 2: 'refused' },
    },
    debounce: {
      script: ['k1', 'k2', 'l3', '+100', 'end', '+100', 'end'],
      runs: [[1], [3]],
      otherwise: { 2: 'refused' },
    },
    burst: { script: ['k1', 'k2', 'l3', '+100', 'end', 'end'], runs: [[1], [3]], otherwise: { 2: 'refused' } },
    drop: { script: ['k1', 'k2', 'l3', 'end'], runs: [[1]], otherwise: { 2: 'refused', 3: 'dropped' } },
    concurrent: { script: ['k1', 'k2', 'l3', 'end', 'end'], runs: [[1], [3]], otherwise: { 2: 'refused' } },
  },
};

describe.each(Object.entries(CASES))('%s', (_title, rows) => {
  it.each(STRATEGIES)('%s', async (strategy) => {
    const { script, runs, otherwise = {} } = rows[strategy];
    const session = setUpTasks({ ...SETTINGS, strategy });
    const { send, trigger, turns, clock } = session;
    for (const step of script) {
      if (typeof step === 'number') await send(step);
      else if (step === 'end') turns.of('a')[0]?.end();
      else if (step.startsWith('+')) await clock.advance(Number(step));
      else await trigger(Number(step.slice(1)), step[0]);
      await clock.advance(0);
    }
    expect(session.batches()).toEqual(runs);
    expect(session.otherwise()).toEqual(otherwise);
  });
});

it('L2 on another route overtakes no message, and keeps none waiting', async () => {
  const { send, trigger, batches, end } = setUpTasks();
  const other = { thread: 'other' };
  await send(1);
  await send(2);
  await trigger(3, 'k', other);
  await send(4);
  await send(5, other);
  await trigger(6, 'l');
  await send(7);
  for (let i = 0; i < 6; i++) await end('a');
  expect(batches()).toEqual([[1], [2, 4], [3], [5], [6], [7]]);
});

it('is no part of a summary: a full queue gives the messages before it', async () => {
  const { sendAll, trigger, batches, end, otherwise, turn } = setUpTasks({ onQueueFull: 'summarize', maxQueueSize: 2 });
  await sendAll(1, 2, 3, 4);
  await trigger(5);
  await sendAll(6, 7, 8);
  await end('a');
  expect(turn('a').batch).toMatchObject({ summarized: 1 });
  await end('a');
  expect(turn('a').batch).toMatchObject({ summarized: 0, task: { key: 'k' } });
  await end('a');
  await end('a');
  expect(batches()).toEqual([[1], [2, 3, 4], [5], [6, 7, 8]]);
  expect(otherwise()).toEqual({ 2: 'skipped', 6: 'skipped' });
});

it('is no part of a summary beside other turns either', async () => {
  const { sendAll, trigger, batches, turns, clock } = setUpTasks({
    ...{ strategy: 'concurrent', maxConcurrent: 1, onQueueFull: 'summarize', maxQueueSize: 1 },
  });
  await sendAll(1, 2);
  await trigger(3);
  await sendAll(4, 5, 6);
  for (let i = 0; i < 5; i++) {
    turns.of('a')[0]?.end();
    await clock.advance(0);
  }
  expect(batches().slice(0, 3)).toEqual([[1], [2], [3]]);
  expect(batches().slice(3).flat()).toEqual([4, 5, 6]);
});
