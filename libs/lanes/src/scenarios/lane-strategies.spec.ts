import { describe, expect, it } from 'vitest';
import { rawMessage, sessionKey, settled, UNBOUNDED } from './lane-runner.fixture.js';
import { setUpSession } from './lane-strategies.fixture.js';

describe('queue', () => {
  it('runs the first at once, and then all that waits of one route', async () => {
    const { sendAll, batches, end, decisions } = setUpSession({ strategy: 'queue' });
    await sendAll(1, 2, 3, 4);
    await end('a');
    await end('a');
    expect(batches()).toEqual([[1], [2, 3, 4]]);
    expect(decisions()).toEqual([1, 2, 3, 4].map((seq) => [seq, 'handled']));
  });

  it('keeps the threads apart: each is answered in its own, and none is lost (D4)', async () => {
    const { send, batches, end } = setUpSession({ strategy: 'queue' });
    await send(1);
    for (const [seq, thread] of [
      [2, 'x'],
      [3, 'y'],
      [4, 'x'],
      [5, 'z'],
    ] as const) {
      await send(seq, { thread });
    }
    for (let i = 0; i < 4; i++) await end('a');
    expect(batches()).toEqual([[1], [2, 4], [3], [5]]);
  });

  it('goes on behind a turn that failed for good (D3)', async () => {
    const { sendAll, fail, turns, decisions, end } = setUpSession({ strategy: 'queue' });
    turns.policy = { ...turns.policy, maxAttempts: 1 };
    await sendAll(1, 2, 3);
    await fail('a');
    await end('a');
    expect(decisions()).toEqual([
      [1, 'dead'],
      [2, 'handled'],
      [3, 'handled'],
    ]);
  });
});

it('fifo gives each message a turn of its own, in order', async () => {
  const { sendAll, batches, end } = setUpSession({ strategy: 'fifo' });
  await sendAll(1, 2, 3);
  for (let i = 0; i < 3; i++) await end('a');
  expect(batches()).toEqual([[1], [2], [3]]);
});

describe('collect', () => {
  it('waits for quiet, and takes all', async () => {
    const { send, batches, clock } = setUpSession({ strategy: 'collect', debounceMs: 100, maxDebounceMs: 1_000 });
    await send(1);
    await clock.advance(60);
    await send(2);
    await clock.advance(99);
    expect(batches()).toEqual([]);
    await clock.advance(1);
    expect(batches()).toEqual([[1, 2]]);
  });

  it('waits for quiet after a turn too', async () => {
    const { sendAll, send, batches, clock, end } = setUpSession({
      strategy: 'collect',
      debounceMs: 100,
      maxDebounceMs: 1_000,
    });
    await sendAll(1);
    await clock.advance(100);
    await send(2);
    await clock.advance(50);
    await send(3);
    await end('a');
    expect(batches()).toEqual([[1]]);
    await clock.advance(100);
    expect(batches()).toEqual([[1], [2, 3]]);
  });
});

describe('debounce', () => {
  const debounce = { strategy: 'debounce', debounceMs: 100, maxDebounceMs: 250 } as const;

  it('begins anew with each message; the latest runs, and has the earlier ones with it', async () => {
    const { send, batches, clock, end, decisions, events } = setUpSession(debounce);
    for (const seq of [1, 2]) {
      await send(seq);
      await clock.advance(60);
    }
    await clock.advance(39);
    expect(batches()).toEqual([]);
    await clock.advance(1);
    expect(batches()).toEqual([[1, 2]]);
    await end('a');
    expect(decisions()).toEqual([
      [1, 'superseded'],
      [2, 'handled'],
    ]);
    expect(events).toMatchObject([
      { type: 'message-debouncing', messageId: 'm1', debounceMs: 100 },
      { type: 'message-queued', messageId: 'm2', queueDepth: 2 },
      { type: 'message-debounce-reset', messageId: 'm2' },
      { type: 'message-dequeued', messageId: 'm2', skippedCount: 1 },
      { type: 'message-superseded', droppedId: 'm1', seq: 1 },
      { type: 'turn-ended', status: 'succeeded' },
    ]);
  });

  it('is not put off for longer than the longest time', async () => {
    const { send, batches, clock } = setUpSession(debounce);
    for (let seq = 1; seq <= 6; seq++) {
      await send(seq);
      await clock.advance(50);
    }
    expect(batches()).toEqual([[1, 2, 3, 4, 5]]);
  });

  it('supersedes no message of another thread', async () => {
    const { send, batches, clock, end, decisions } = setUpSession(debounce);
    await send(1, { thread: 'x' });
    await send(2, { thread: 'y' });
    await send(3, { thread: 'x' });
    await clock.advance(100);
    await end('a');
    await end('a');
    expect(batches()).toEqual([[1, 3], [2]]);
    expect(decisions()).toEqual([
      [1, 'superseded'],
      [3, 'handled'],
      [2, 'handled'],
    ]);
  });

  it('of what was read again comes to the same batches', async () => {
    const { runner, batches, clock, end } = setUpSession(debounce);
    const now = clock.now();
    for (const [seq, ageMs] of [
      [1, 1_000],
      [2, 950],
      [3, 700],
    ] as const) {
      runner.receive(sessionKey('a'), { ...rawMessage(seq), storedAtMs: now - ageMs });
    }
    await settled();
    await end('a');
    await settled();
    await end('a');
    expect(batches()).toEqual([[1, 2], [3]]);
  });
});

describe('burst', () => {
  const burst = { strategy: 'burst', debounceMs: 100 } as const;

  it('waits a fixed time from the first message', async () => {
    const { send, batches, clock } = setUpSession(burst);
    await send(1);
    await clock.advance(60);
    await send(2);
    await clock.advance(40);
    expect(batches()).toEqual([[1, 2]]);
  });

  it('has no second window for what came while the turn ran', async () => {
    const { send, sendAll, batches, clock, end } = setUpSession(burst);
    await send(1);
    await clock.advance(100);
    await sendAll(2, 3);
    await end('a');
    expect(batches()).toEqual([[1], [2, 3]]);
    await end('a');
    await clock.advance(1);
    await send(4);
    expect(batches().length).toBe(2);
    await clock.advance(100);
    expect(batches()[2]).toEqual([4]);
  });
});

describe('drop', () => {
  it('takes what comes when nothing runs; the sender of a later message is told', async () => {
    const { send, sendAll, batches, end, decisions, sends, events } = setUpSession({ strategy: 'drop' });
    await sendAll(1, 2);
    await send(3, { thread: 't', replyTo: 'https://a.b/' });
    expect(decisions()).toEqual([
      [2, 'dropped'],
      [3, 'dropped'],
    ]);
    expect(sends()).toMatchObject([
      { kind: 'reply', text: UNBOUNDED.busyMessage, seq: 2 },
      { seq: 3, thread: 't', replyTo: 'https://a.b/' },
    ]);
    await end('a');
    await send(4);
    await end('a');
    expect(batches()).toEqual([[1], [4]]);
    const dropped = events.filter(({ type }) => type === 'message-dropped');
    expect(dropped).toMatchObject([
      { messageId: 'm2', reason: 'busy', queueDepth: 0 },
      { messageId: 'm3', reason: 'busy', queueDepth: 0 },
    ]);
  });

  it('drops also while the first one waits for a slot, or for its next attempt', async () => {
    const { send, sendAll, receive, end, fail, decisions, clock } = setUpSession({ strategy: 'drop' }, { capacity: 1 });
    await receive('b', 1);
    await sendAll(2, 3);
    expect(decisions()).toEqual([[3, 'dropped']]);
    await end('b');
    await fail('a');
    await send(4);
    expect(decisions()).toEqual([
      [3, 'dropped'],
      [4, 'dropped'],
    ]);
    await clock.advance(2_000);
    await end('a');
    expect(decisions()[2]).toEqual([2, 'handled']);
  });

  it('says nothing when it is to be silent', async () => {
    const { sendAll, sends, decisions } = setUpSession({ strategy: 'drop', overflowAction: 'silent' });
    await sendAll(1, 2);
    expect([decisions(), sends()]).toEqual([[[2, 'dropped']], []]);
  });
});

describe('a full queue', () => {
  const full = { strategy: 'queue', maxQueueSize: 2 } as const;

  it('drops its oldest message, and tells its sender', async () => {
    const { sendAll, decisions, sends, end, batches } = setUpSession({ ...full, onQueueFull: 'drop-oldest' });
    await sendAll(1, 2, 3, 4, 5);
    expect(decisions()).toEqual([
      [2, 'dropped'],
      [3, 'dropped'],
    ]);
    expect(sends().map(({ seq }) => seq)).toEqual([2, 3]);
    await end('a');
    expect(batches()).toEqual([[1], [4, 5]]);
  });

  describe.each(['collect', 'debounce', 'burst'] as const)('with %s', (strategy) => {
    const windowed = { ...full, strategy, debounceMs: 100, maxDebounceMs: 1_000, onQueueFull: 'drop-newest' } as const;

    it('is none while nothing runs: what is in the window comes with the next turn', async () => {
      const { sendAll, decisions, clock, batches, end } = setUpSession(windowed);
      await sendAll(1, 2, 3, 4, 5);
      await clock.advance(100);
      expect([batches(), decisions()]).toEqual([[[1, 2, 3, 4, 5]], []]);
      // From here on what comes waits behind a turn.
      await sendAll(6, 7, 8);
      expect(decisions()).toEqual([[8, 'dropped']]);
      await end('a');
    });

    it('is one while the turn waits for its next attempt', async () => {
      const { sendAll, decisions, clock, fail } = setUpSession(windowed);
      await sendAll(1);
      await clock.advance(100);
      await fail('a');
      await sendAll(2, 3, 4);
      expect(decisions()).toEqual([[4, 'dropped']]);
    });

    it('is one for more than the lane keeps as a whole', async () => {
      const { sendAll, decisions } = setUpSession(windowed, { laneBuffer: 3 });
      await sendAll(1, 2, 3, 4, 5);
      expect(decisions()).toEqual([]);
      await sendAll(6, 7);
      expect(decisions()).toEqual([
        [6, 'dropped'],
        [7, 'dropped'],
      ]);
    });
  });

  it('drops the newest', async () => {
    const { sendAll, decisions, end, batches } = setUpSession({ ...full, onQueueFull: 'drop-newest' });
    await sendAll(1, 2, 3, 4, 5);
    expect(decisions()).toEqual([
      [4, 'dropped'],
      [5, 'dropped'],
    ]);
    await end('a');
    expect(batches()).toEqual([[1], [2, 3]]);
  });

  it('hands on what is too much as a summary, and loses nothing', async () => {
    const { sendAll, decisions, end, turn } = setUpSession({ ...full, onQueueFull: 'summarize' });
    await sendAll(1, 2, 3, 4, 5);
    await end('a');
    expect(turn('a')).toMatchObject({ seqs: [2, 3, 4, 5], batch: { summarized: 2 } });
    await end('a');
    expect(decisions()).toEqual([
      [1, 'handled'],
      [2, 'skipped'],
      [3, 'skipped'],
      [4, 'handled'],
      [5, 'handled'],
    ]);
  });

  it('with one turn a message, gives the too much to the next turn', async () => {
    const { sendAll, end, turn, batches } = setUpSession({
      strategy: 'fifo',
      maxQueueSize: 2,
      onQueueFull: 'summarize',
    });
    await sendAll(1, 2, 3, 4, 5);
    await end('a');
    expect(turn('a')).toMatchObject({ seqs: [2, 3, 4], batch: { summarized: 2 } });
    await end('a');
    await end('a');
    expect(batches()).toEqual([[1], [2, 3, 4], [5]]);
  });

  it('decides about messages that were not kept as well', async () => {
    const { sendAll, decisions } = setUpSession(
      { strategy: 'queue', maxQueueSize: 4, onQueueFull: 'drop-newest' },
      { laneBuffer: 2 },
    );
    await sendAll(1, 2, 3, 4, 5, 6, 7);
    expect(decisions()).toEqual([
      [6, 'dropped'],
      [7, 'dropped'],
    ]);
  });

  it('never drops the batch of a retry', async () => {
    const { sendAll, fail, decisions, clock, end } = setUpSession({ ...full, onQueueFull: 'drop-oldest' });
    await sendAll(1);
    await fail('a');
    await sendAll(2, 3, 4);
    expect(decisions()).toEqual([[2, 'dropped']]);
    await clock.advance(2_000);
    await end('a');
    expect(decisions()[1]).toEqual([1, 'handled']);
  });
});

describe('waiting too long', () => {
  it('stands still when the process does, and while a record waits for the broker', async () => {
    const window = { strategy: 'collect', debounceMs: 1_000, maxDebounceMs: 1_000, queueEntryTtlMs: 5_000 } as const;
    const stopped = setUpSession(window);
    await stopped.send(1);
    stopped.clock.standStill(600_000);
    await stopped.clock.advance(1);
    await stopped.end('a');
    expect(stopped.decisions()).toEqual([[1, 'handled']]);
    const cutOff = setUpSession(window);
    await cutOff.send(1);
    cutOff.closed.add('write');
    cutOff.runner.receive(sessionKey('a'), rawMessage(2, 'broken'));
    await cutOff.clock.advance(600_000);
    await cutOff.open();
    await cutOff.end('a');
    expect(cutOff.decisions()).toEqual([
      [2, 'rejected'],
      [1, 'handled'],
    ]);
  });

  it('does not begin while the session is served: two minutes expire nothing (D7)', async () => {
    const { sendAll, clock, end, decisions, turns } = setUpSession({ strategy: 'queue', queueEntryTtlMs: 90_000 });
    turns.policy = { ...turns.policy, turnTimeoutMs: 300_000 };
    await sendAll(1, 2);
    await clock.advance(120_000);
    await end('a');
    await end('a');
    expect(decisions()).toEqual([
      [1, 'handled'],
      [2, 'handled'],
    ]);
  });

  it('by the clock on the wall ends with a word to the sender, also while a turn runs', async () => {
    const { sendAll, clock, decisions, sends, end, events, running } = setUpSession({
      strategy: 'queue',
      queueTimeoutMs: 5_000,
    });
    await sendAll(1, 2);
    await clock.advance(4_999);
    expect(decisions()).toEqual([]);
    await clock.advance(1);
    expect(decisions()).toEqual([[2, 'expired']]);
    expect(sends()).toMatchObject([{ seq: 2 }]);
    expect(events).toContainEqual({
      type: 'message-expired',
      messageId: 'm2',
      seq: 2,
      reason: 'queue-timeout',
      queueDepth: 0,
    });
    expect(running()).toEqual([1]);
    await end('a');
    expect(decisions()).toEqual([
      [2, 'expired'],
      [1, 'handled'],
    ]);
  });

  it('counts only while the lane could begin', async () => {
    const { sendAll, send, clock, decisions, batches } = setUpSession({
      strategy: 'collect',
      debounceMs: 400,
      maxDebounceMs: 10_000,
      queueEntryTtlMs: 500,
    });
    await sendAll(1);
    await clock.advance(300);
    await send(2);
    await clock.advance(200);
    expect(decisions()).toEqual([[1, 'expired']]);
    await clock.advance(200);
    expect(batches()).toEqual([[2]]);
  });
});

it('a message may choose its own strategy', async () => {
  const { send, sendAll, decisions, batches, end } = setUpSession({ strategy: 'queue' });
  await sendAll(1, 2);
  await send(3, { strategy: 'drop' });
  await send(4, { strategy: 'fifo' });
  expect(decisions()).toEqual([[3, 'dropped']]);
  await end('a');
  expect(batches()).toEqual([[1], [2, 4]]);
});

it('L4 a process that is not certain of its shard decides nothing, and does so once it is', async () => {
  let mayStart = true;
  const { send, sendAll, decisions, runner } = setUpSession({ strategy: 'drop' }, { mayStart: () => mayStart });
  await sendAll(1);
  mayStart = false;
  await sendAll(2, 3);
  expect(decisions()).toEqual([]);
  mayStart = true;
  runner.resume(0);
  await settled();
  expect(decisions()).toEqual([
    [2, 'dropped'],
    [3, 'dropped'],
  ]);
  await send(4);
  expect(decisions().length).toBe(3);
});
