import { describe, expect, it } from 'vitest';
import { rawMessage, settled } from './lane-runner.fixture.js';
import { setUpSession } from './lane-strategies.fixture.js';

const SIZE = rawMessage(2).data.length;

/** Ends what runs until nothing does. */
async function endAll({ turns }: ReturnType<typeof setUpSession>): Promise<void> {
  for (let turn = turns.of('a')[0]; turn !== undefined; turn = turns.of('a')[0]) {
    turn.end();
    await settled();
  }
}

describe('what a turn takes at most', () => {
  it('L2 is maxTurnMessages: the rest is the next turn\u2019s, in order', async () => {
    const session = setUpSession({ maxTurnMessages: 3 });
    await session.sendAll(1, 2, 3, 4, 5, 6, 7, 8);
    await endAll(session);
    expect(session.batches()).toEqual([[1], [2, 3, 4], [5, 6, 7], [8]]);
  });

  it('is maxTurnBytes of what is stored, and the oldest alone always', async () => {
    const session = setUpSession({ maxTurnBytes: 2 * SIZE });
    await session.sendAll(1, 2, 3, 4, 5);
    await session.send(6, { text: 'x'.repeat(3 * SIZE) });
    await session.send(7);
    await endAll(session);
    expect(session.batches()).toEqual([[1], [2, 3], [4, 5], [6], [7]]);
  });

  it('is counted per route, so that no message of another one is between', async () => {
    const session = setUpSession({ maxTurnMessages: 2 });
    await session.send(1);
    for (const seq of [2, 3, 4, 5, 6, 7]) await session.send(seq, { thread: seq % 2 === 0 ? 'x' : 'y' });
    await endAll(session);
    expect(session.batches()).toEqual([[1], [2, 4], [3, 5], [6], [7]]);
  });

  it('holds for the oldest of a summary too: what is still too much is in the next one', async () => {
    const limits = { strategy: 'fifo', maxQueueSize: 1, onQueueFull: 'summarize', maxTurnMessages: 3 } as const;
    const session = setUpSession(limits);
    await session.sendAll(1, 2, 3, 4, 5, 6);
    await endAll(session);
    expect(session.batches()).toEqual([[1], [2, 3, 4], [5, 6]]);
    expect(session.turns.started.map(({ batch }) => batch.summarized)).toEqual([0, 2, 1]);
  });

  it('holds for a window: what is over begins at once behind it', async () => {
    const session = setUpSession({ strategy: 'collect', debounceMs: 100, maxDebounceMs: 500, maxTurnMessages: 2 });
    await session.sendAll(1, 2, 3);
    await session.clock.advance(99);
    expect(session.batches()).toEqual([]);
    await session.clock.advance(1);
    await endAll(session);
    expect(session.batches()).toEqual([[1, 2], [3]]);
  });

  it('holds for concurrent messages that a full queue summarizes', async () => {
    const summarize = { onQueueFull: 'summarize', maxQueueSize: 1 } as const;
    const session = setUpSession({ strategy: 'concurrent', maxConcurrent: 1, ...summarize, maxTurnMessages: 2 });
    await session.sendAll(1, 2, 3, 4, 5);
    await endAll(session);
    expect(session.batches()).toEqual([[1], [2, 3], [4], [5]]);
  });

  it('L7 leaves a batch that has run before as it was, also where the next owner takes less', async () => {
    const first = setUpSession({});
    await first.sendAll(1, 2, 3, 4);
    await first.end('a');
    await first.fail('a');
    first.kill();
    const { records, clock } = first;
    const next = setUpSession({ maxTurnMessages: 1 }, { records, clock, isRecovery: true, worker: 'w/2' });
    for (const seq of [1, 2, 3, 4, 5]) await next.receive('a', seq);
    next.runner.caughtUp(0);
    await clock.advance(1_000);
    await endAll(next);
    expect(next.batches()).toEqual([[2, 3, 4], [5]]);
  });
});
