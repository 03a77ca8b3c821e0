import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { MAX_DONE_RANGES } from '#contracts';
import { cancelOrder } from '../scenarios/lane-process.fixture.js';
import { settled } from '../scenarios/lane-runner.fixture.js';
import { setUpSession } from '../scenarios/lane-strategies.fixture.js';
import { loaded, NOW, numbered, openLane, seqsOf } from './lane.fixture.js';

/** A bound that a few messages come to: the rules are the same, and all that happens at it happens in every run. */
vi.mock('#contracts', async (original) => ({ ...(await original<object>()), MAX_DONE_RANGES: 8 }));

/** Twice the bound, and some more. */
const COUNT = 20;

/** A session whose turn runs, with many messages behind it. */
function setUpLong(...[queueing]: Parameters<typeof setUpSession>) {
  const session = setUpSession(queueing, { laneBuffer: COUNT * 3 });
  const { records, turns } = session;
  const mostHoles = (): number => Math.max(...records.of('a').map(({ done }) => done.length));
  /** Many at once: what comes of them comes of all together. */
  const sendMany = async (from: number, to: number, body: (seq: number) => object | string): Promise<void> => {
    for (let seq = from; seq <= to; seq++) void session.send(seq, body(seq));
    for (let i = 0; i < 4; i++) await settled();
  };
  /** Until nothing runs any more. */
  const endAll = async (): Promise<void> => {
    for (let turn = turns.active.get('a'); turn !== undefined; turn = turns.active.get('a')) {
      turn.end();
      await settled();
    }
  };
  return { ...session, sendMany, mostHoles, endAll };
}

it('every second message is cancelled while a turn runs: the holes stay within their bound, and none that is meant is run', async () => {
  const { send, sendMany, records, decisions, mostHoles, endAll, turns } = setUpLong({ strategy: 'fifo' });
  await send(1);
  await sendMany(2, COUNT, () => ({}));
  const meant = Array.from({ length: COUNT / 2 - 1 }, (_, i) => 2 * i + 3);
  await sendMany(COUNT + 1, COUNT + meant.length, (seq) =>
    cancelOrder({ what: 'message', seq: meant[seq - COUNT - 1] ?? 0 }),
  );
  expect(mostHoles()).toBeGreaterThan(MAX_DONE_RANGES - 2);
  await endAll();
  expect(mostHoles()).toBeLessThanOrEqual(MAX_DONE_RANGES);
  expect(
    decisions()
      .flatMap(([seq, decision]) => (decision === 'cancelled' ? [seq] : []))
      .toSorted((a, b) => Number(a) - Number(b)),
  ).toEqual(meant);
  expect(new Set(turns.started.flatMap(({ seqs }) => seqs)).size).toBe(COUNT - meant.length);
  expect(records.head('a').head).toMatchObject({ upto: COUNT + meant.length, done: [] });
});

it('a cancel of the session reaches what runs at the bound too, and all that waits', async () => {
  const { send, sendMany, records, mostHoles, endAll, turns } = setUpLong({ strategy: 'fifo' });
  await send(1);
  await sendMany(2, COUNT, () => ({}));
  await sendMany(COUNT + 1, COUNT * 1.5 - 2, (seq) => cancelOrder({ what: 'message', seq: (seq - COUNT) * 2 + 1 }));
  await send(COUNT * 3, cancelOrder({ what: 'session' }));
  expect(turns.active.get('a')?.signal.aborted).toBe(true);
  await endAll();
  for (let i = 0; i < 50; i++) await settled();
  expect(turns.started.length).toBe(1);
  expect(records.head('a').head).toMatchObject({ upto: COUNT * 3, done: [] });
  expect(mostHoles()).toBeLessThanOrEqual(MAX_DONE_RANGES);
});

it('a cancel of what waits for its next attempt is not put off at the bound: it has its room', async () => {
  const { send, sendMany, records, decisions, fail, turns } = setUpLong({ strategy: 'fifo' });
  await send(1);
  await send(2, { strategy: 'concurrent' });
  await fail('a/2');
  await sendMany(3, COUNT, () => ({}));
  await sendMany(COUNT + 1, COUNT * 1.5, (seq) => cancelOrder({ what: 'message', seq: (seq - COUNT) * 2 + 2 }));
  const before = decisions().length;
  await send(COUNT * 2, cancelOrder({ what: 'message', seq: COUNT - 1 }));
  // What runs and what comes again will be two more.
  expect([decisions().length - before, records.head('a').head.done.length]).toEqual([0, MAX_DONE_RANGES - 2]);
  await send(COUNT * 2 + 1, cancelOrder({ what: 'message', seq: 2 }));
  expect(decisions()).toContainEqual([2, 'cancelled']);
  expect([turns.of('a').length, records.head('a').head.runs]).toEqual([1, undefined]);
});

it('numbers in another order than that of the inbox: at the bound the oldest message goes on, and those before it are late', async () => {
  const { send, sendMany, records, mostHoles, endAll, turns } = setUpLong({
    strategy: 'fifo',
    gapTimeoutMs: 3_600_000,
  });
  await send(1, { sequence: 1 });
  // Every second one has a number behind all the others.
  await sendMany(2, COUNT, (seq) => ({ sequence: seq % 2 === 0 ? 1 + COUNT + seq : 1 + (seq - 1) / 2 }));
  await endAll();
  expect(mostHoles()).toBeGreaterThan(MAX_DONE_RANGES - 2);
  expect(mostHoles()).toBeLessThanOrEqual(MAX_DONE_RANGES);
  expect(turns.started.flatMap(({ seqs }) => seqs).length).toBe(COUNT / 2 + (COUNT / 2 - MAX_DONE_RANGES));
  expect(records.head('a').head.upto).toBeGreaterThan(0);
});

it('rubbish between messages, and messages that are dropped: the holes stay within their bound', async () => {
  const { send, sendMany, records, mostHoles, endAll } = setUpLong({ strategy: 'fifo' });
  await send(1);
  await sendMany(2, COUNT, (seq) => {
    const barred = seq % 4 === 1 ? 'rubbish' : { strategy: 'drop' };
    return seq % 2 === 1 ? barred : {};
  });
  expect(mostHoles()).toBeGreaterThan(MAX_DONE_RANGES - 2);
  await endAll();
  expect(mostHoles()).toBeLessThanOrEqual(MAX_DONE_RANGES);
  expect(records.head('a').head).toMatchObject({ upto: COUNT, done: [] });
});

it('messages of two routes in turn: a turn takes no more than there is room for', async () => {
  const { send, sendMany, records, mostHoles, endAll } = setUpLong({ strategy: 'queue' });
  await send(1);
  await sendMany(2, COUNT * 2, (seq) => ({ thread: `t${seq % 2}` }));
  await endAll();
  expect(mostHoles()).toBeLessThanOrEqual(MAX_DONE_RANGES);
  expect(records.head('a').head).toMatchObject({ upto: COUNT * 2, done: [] });
});

it('L2 numbered messages of which not all have room keep the order of their numbers', () => {
  const holes = MAX_DONE_RANGES - 1;
  const last = 2 * holes + 1;
  const done = Array.from({ length: holes }, (_, i): [number, number] => [2 * i + 2, 2 * i + 2]);
  // Between the holes waits what has its number far behind.
  const early = Array.from({ length: holes + 1 }, (_, i) => numbered(2 * i + 1, 1_000 + i));
  const lane = openLane(
    [...early, numbered(last + 1, 2), numbered(last + 2, 5_000), numbered(last + 3, 1)],
    loaded({ done, nextSequence: 1 }),
  );
  expect(seqsOf(lane.serialWaiting)).toEqual([last + 3, last + 1]);
  expect(lane.serial.canTake(NOW)).toBe(true);
  expect(seqsOf(lane.serial.take(NOW).items)).toEqual([last + 3]);
});

it('L5 whatever comes and is cancelled, in whatever order turns end: all is decided, and the holes stay within their bound', async () => {
  const chosen = fc.nat({ max: 5 });
  const message = fc.record({
    sequence: fc.option(fc.nat({ max: 12 }), { nil: undefined }),
    strategy: fc.constantFrom('fifo', 'queue', 'collect', 'debounce', 'concurrent', 'drop'),
    thread: fc.constantFrom('t1', 't2', 't3'),
  });
  const step = fc.oneof(
    { weight: 12, arbitrary: message.map((body) => ({ body })) },
    { weight: 3, arbitrary: fc.constant({ body: 'rubbish' }) },
    { weight: 9, arbitrary: fc.nat({ max: 50 }).map((seq) => ({ body: cancelOrder({ what: 'message', seq }) })) },
    { weight: 1, arbitrary: fc.constant({ body: cancelOrder({ what: 'session' }) }) },
    { weight: 1, arbitrary: chosen.map((cancelled) => ({ cancelled })) },
    { weight: 3, arbitrary: chosen.map((ended) => ({ ended })) },
    { weight: 1, arbitrary: chosen.map((failed) => ({ failed })) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 120 }), async (steps) => {
      const times = { debounceMs: 50, maxDebounceMs: 100, gapTimeoutMs: 500, queueEntryTtlMs: 1e9 };
      const session = setUpSession({ ...times, maxConcurrent: 4 }, { laneBuffer: 30 });
      const { turns, send, clock, records } = session;
      const one = (which: number) => turns.of('a')[which % Math.max(1, turns.of('a').length)];
      let seq = 0;
      for (const each of steps) {
        if ('body' in each) await send(++seq, each.body);
        const runId = 'cancelled' in each ? one(each.cancelled)?.batch.runId : undefined;
        if (runId !== undefined) await send(++seq, cancelOrder({ what: 'run', runId }));
        if ('ended' in each) one(each.ended)?.end();
        if ('failed' in each) one(each.failed)?.fail('Chance');
        await settled();
      }
      // A step of half a second ends a gap, a window, or the backoff of a retry.
      for (let steps = 0; steps < 300 && records.head('a').head.upto < seq; steps++) {
        for (const turn of turns.of('a')) turn.end();
        await clock.advance(500);
      }
      expect(records.head('a').head).toMatchObject({ upto: seq, done: [], run: null });
      expect(Math.max(...records.of('a').map(({ done }) => done.length))).toBeLessThanOrEqual(MAX_DONE_RANGES);
      expect(turns.violations).toEqual([]);
    }),
    { numRuns: 300, seed: 1 },
  );
}, 60_000);
