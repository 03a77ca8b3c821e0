import { describe, expect, it } from 'vitest';
import type { QueueSettings, StrategyName } from '#contracts';
import { cancelOrder, type ProcessOptions } from './lane-process.fixture.js';
import { rawMessage, sessionKey, settled } from './lane-runner.fixture.js';
import { setUpSession } from './lane-strategies.fixture.js';

const AT = 1_000;
const PLANNED = { read: 0, tail: 0, open: [] };

/** A process that finds messages from long ago, and is told when it has read all of them. */
async function setUpReading(queueing: Partial<QueueSettings>, options: ProcessOptions = {}) {
  const session = setUpSession(
    { debounceMs: 200, maxDebounceMs: 1_000, ...queueing },
    { isRecovery: true, ...options },
  );
  const { clock, runner } = session;
  await clock.advance(20_000);
  const find = async (seq: number, storedAtMs: number, body: object = {}): Promise<void> => {
    runner.receive(sessionKey('a'), { ...rawMessage(seq, body), storedAtMs });
    await settled();
  };
  const catchUp = async (): Promise<void> => {
    runner.caughtUp(0);
    await settled();
  };
  return { ...session, find, catchUp };
}

describe('a window that is over when its messages are read again', () => {
  it.each<[StrategyName, string, ProcessOptions]>(
    (['debounce', 'collect', 'burst'] as const).flatMap((strategy) => [
      [strategy, 'after a planned stop', { from: PLANNED }],
      [strategy, 'after a crash', { crashedUpTo: 3 }],
    ]),
  )('is judged when all of them have been read (%s, %s)', async (strategy, _title, options) => {
    const { find, catchUp, started, end, batches } = await setUpReading({ strategy }, options);
    await find(1, AT);
    await find(2, AT + 100);
    expect(started('a')).toEqual([]);
    await find(3, AT + 10_000);
    expect(started('a')).toEqual([]);
    await catchUp();
    const attempt = options.from === undefined ? 2 : 1;
    expect(started('a')).toMatchObject([{ seqs: [1, 2], attempt }]);
    await end('a');
    expect(batches()).toEqual([[1, 2], [3]]);
  });

  it('does not keep messages waiting that have no window', async () => {
    const { find, started } = await setUpReading({ strategy: 'queue' }, { crashedUpTo: 2 });
    await find(1, AT);
    expect(started('a')).toMatchObject([{ seqs: [1], attempt: 2 }]);
  });

  it('keeps an order waiting that may be about what had begun, and no longer', async () => {
    const { find, catchUp, decisions, started } = await setUpReading({ strategy: 'debounce' }, { crashedUpTo: 3 });
    await find(1, AT);
    await find(2, AT + 100);
    await find(3, AT + 200, cancelOrder({ what: 'message', seq: 1 }));
    expect(decisions()).toEqual([]);
    await catchUp();
    expect(decisions()).toEqual([
      [1, 'cancelled'],
      [3, 'handled'],
    ]);
    expect(started('a')).toMatchObject([{ seqs: [2] }]);
  });

  it('lets an order act at once when no owner was lost: nothing of it can have begun', async () => {
    const { find, decisions } = await setUpReading({ strategy: 'debounce' }, { from: PLANNED });
    await find(1, AT);
    await find(2, AT + 100, cancelOrder({ what: 'message', seq: 1 }));
    expect(decisions()).toEqual([
      [1, 'cancelled'],
      [2, 'handled'],
    ]);
  });

  it('does not wait when a run of the session is known: that goes on at once', async () => {
    const { records, clock, send, kill } = setUpSession({
      strategy: 'debounce',
      debounceMs: 200,
      maxDebounceMs: 1_000,
    });
    await send(1);
    await clock.advance(300);
    await send(2);
    kill();
    const next = await setUpReading({ strategy: 'debounce' }, { records, clock, crashedUpTo: 2 });
    await next.find(1, AT);
    expect(next.started('a')).toMatchObject([{ seqs: [1], attempt: 2 }]);
  });
});
