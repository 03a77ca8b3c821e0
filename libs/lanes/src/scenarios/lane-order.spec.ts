import { describe, expect, it } from 'vitest';
import type { InboxItem } from '../backlog/inbox-item.js';
import { loaded, NOW, numbered, openLane } from '../lane/lane.fixture.js';
import { cancelOrder } from './lane-process.fixture.js';
import { rawMessage, sessionKey, settled } from './lane-runner.fixture.js';
import { setUpSession } from './lane-strategies.fixture.js';

const FIFO = { strategy: 'fifo', gapTimeoutMs: 100 } as const;

describe('numbered messages', () => {
  it('L2 are handled in the order of their numbers, whatever order they came in', async () => {
    const { send, end, batches, decisions, last } = setUpSession(FIFO);
    await send(1, { sequence: 1 });
    await send(2, { sequence: 3 });
    await send(3, { sequence: 4 });
    await send(4, { sequence: 2 });
    for (let i = 0; i < 4; i++) await end('a');
    expect(batches()).toEqual([[1], [4], [2], [3]]);
    expect(decisions()).toEqual([1, 4, 2, 3].map((seq) => [seq, 'handled']));
    expect(last()).toMatchObject({ upto: 4, done: [], nextSequence: 5 });
  });

  it('L2 are handed to one turn in that order too', async () => {
    const { send, end, batches, last } = setUpSession({ ...FIFO, strategy: 'queue' });
    await send(1);
    await send(2, { sequence: 2 });
    await send(3, { sequence: 1 });
    await send(4);
    await end('a');
    await end('a');
    expect(batches()).toEqual([[1], [3, 2, 4]]);
    expect(last()).toMatchObject({ upto: 4, nextSequence: 3 });
  });

  it('wait for a gap no longer than gapTimeoutMs; the lane says so, and marks what comes late', async () => {
    const { send, end, batches, clock, events, records, runner, turns } = setUpSession(FIFO);
    await send(1, { sequence: 1 });
    await end('a');
    await send(2, { sequence: 4, thread: 't' });
    expect(runner.describe(sessionKey('a'))).toMatchObject({
      early: { seqs: [2], endsAt: clock.now() + 100 },
      depth: 1,
    });
    await clock.advance(99);
    expect(batches()).toEqual([[1]]);
    await clock.advance(1);
    expect(batches()).toEqual([[1], [2]]);
    expect(events).toContainEqual({ type: 'message-gap', messageId: 'm2', threadId: 't', expected: 2, sequence: 4 });
    await send(3, { sequence: 2 });
    await end('a');
    await end('a');
    expect(batches()).toEqual([[1], [2], [3]]);
    expect(turns.started.at(-1)?.batch.items).toMatchObject([{ isLate: true }]);
    expect(records.of('a').flatMap(({ messages }) => messages.map(({ reason }) => reason))).toEqual([
      undefined,
      undefined,
      'late-sequence',
    ]);
  });

  it('do not hold up messages without a number', async () => {
    const { send, end, batches } = setUpSession(FIFO);
    await send(1, { sequence: 5 });
    await send(2);
    await end('a');
    expect(batches()).toEqual([[2]]);
  });

  it('of concurrent messages hold up no other message, and wait for none', async () => {
    const { send, end, batches, turns } = setUpSession(FIFO);
    await send(1, { sequence: 1 });
    await send(2, { sequence: 4, strategy: 'concurrent' });
    await send(3, { sequence: 3 });
    await send(4, { sequence: 2, strategy: 'concurrent' });
    await end('a');
    await send(5, { sequence: 5 });
    await end('a');
    expect(batches()).toEqual([[1], [2], [4], [3], [5]]);
    expect(turns.started.every(({ batch }) => batch.items.every(({ isLate }) => isLate !== true))).toBe(true);
  });

  it('come back to their place when their turn fails', async () => {
    const { send, fail, end, batches, clock } = setUpSession(FIFO);
    await send(1, { sequence: 2 });
    await send(2, { sequence: 1 });
    await fail('a');
    await clock.advance(1_000);
    await end('a');
    await end('a');
    expect(batches()).toEqual([[2], [2], [1]]);
  });

  it('are not late because a batch of them that failed is read again one after another', async () => {
    const first = setUpSession({ ...FIFO, strategy: 'queue' });
    await first.send(1);
    await first.send(2, { sequence: 2 });
    await first.send(3, { sequence: 1 });
    await first.end('a');
    await first.fail('a');
    const { records, clock } = first;
    const from = await first.runner.releaseShard(0);
    const next = setUpSession({ ...FIFO, strategy: 'queue' }, { records, clock, from, isRecovery: true });
    await next.send(2, { sequence: 2 });
    await next.send(3, { sequence: 1 });
    next.runner.caughtUp(0);
    await clock.advance(2_000);
    expect(next.running()).toEqual([3, 2]);
    expect(next.turns.started.at(-1)?.batch.items.map(({ isLate }) => isLate)).toEqual([undefined, undefined]);
  });

  it('L3 keep their order over a restart, though what is missing is still to be read', async () => {
    const first = setUpSession(FIFO);
    await first.send(1, { sequence: 2 });
    await first.send(2, { sequence: 1 });
    await first.send(3, { sequence: 4 });
    first.kill();
    const second = setUpSession(FIFO, { records: first.records, clock: first.clock, isRecovery: true, crashedUpTo: 3 });
    await second.clock.advance(1_000);
    for (const [seq, sequence] of [2, 1, 4, 3].entries()) await second.send(seq + 1, { sequence });
    second.runner.caughtUp(0);
    for (let i = 0; i < 4; i++) await second.end('a');
    expect(second.batches()).toEqual([[2], [1], [4], [3]]);
    expect(second.last()).toMatchObject({ upto: 4, nextSequence: 5 });
  });

  it('do not give up a number before everything was read', async () => {
    const { records, clock } = setUpSession(FIFO);
    const { runner, batches } = setUpSession(FIFO, { records, clock, from: { read: 0, tail: 0, open: [] } });
    runner.dropShard(0);
    runner.openShard(0, { read: 0, tail: 0, open: [] });
    runner.receive(sessionKey('a'), rawMessage(1, { sequence: 2 }));
    await clock.advance(5_000);
    expect(batches()).toEqual([]);
    runner.caughtUp(0);
    await clock.advance(99);
    expect(batches()).toEqual([]);
    await clock.advance(1);
    expect(batches()).toEqual([[1]]);
  });

  it('are counted on from the head of a lane that was forgotten, and by the next owner', async () => {
    const { send, end, batches, clock, runner, records } = setUpSession(FIFO);
    await send(1, { sequence: 0 });
    await end('a');
    await clock.advance(600_000);
    runner.forgetIdle();
    await send(2, { sequence: 2 });
    await send(3, { sequence: 1 });
    await end('a');
    expect(batches()).toEqual([[1], [3], [2]]);
    const progress = await runner.releaseShard(0);
    const next = setUpSession(FIFO, { records, clock, from: progress });
    await next.send(2, { sequence: 2 });
    await end('a');
    await clock.advance(10);
    await next.send(4, { sequence: 3 });
    await next.end('a');
    expect(next.batches()).toEqual([[4]]);
    expect(next.last()).toMatchObject({ upto: 4, nextSequence: 4 });
  });

  it('that are early can be cancelled, and count as seen', async () => {
    const { send, end, batches, decisions } = setUpSession(FIFO);
    await send(1, { sequence: 1 });
    await send(2, { sequence: 3 });
    await send(3, cancelOrder({ what: 'message', seq: 2 }));
    expect(decisions()).toEqual([
      [2, 'cancelled'],
      [3, 'handled'],
    ]);
    await send(4, { sequence: 4 });
    await send(5, { sequence: 2 });
    for (let i = 0; i < 3; i++) await end('a');
    expect(batches()).toEqual([[1], [5], [4]]);
  });

  it('count against the queue while they are early, and no message waits for those that were dropped', async () => {
    const { send, end, batches, decisions } = setUpSession({ ...FIFO, maxQueueSize: 2 });
    await send(1, { sequence: 1 });
    for (const seq of [2, 3, 4]) await send(seq, { sequence: seq + 1 });
    expect(decisions()).toEqual([[2, 'dropped']]);
    await send(5, { sequence: 2 });
    // Again one too many: the first in line goes, and that is by number.
    expect(decisions()).toEqual([
      [2, 'dropped'],
      [5, 'dropped'],
    ]);
    for (let i = 0; i < 3; i++) await end('a');
    expect(batches()).toEqual([[1], [3], [4]]);
  });

  it('do not fill the memory while they wait for one that never comes', async () => {
    const { sendAll, send, batches, end } = setUpSession(FIFO, { laneBuffer: 3 });
    await sendAll(1);
    for (const seq of [2, 3, 4]) await send(seq, { sequence: seq + 5 });
    await end('a');
    await settled();
    expect(batches()).toEqual([[1], [2]]);
  });
});

describe('L2 a turn that began elsewhere', () => {
  /** What the lane has of its turn, and of what waits behind it, when it hears of it last of all. */
  function after(seqs: readonly number[], ...items: readonly InboxItem[]): string[][] {
    const run = { runId: 'r', seqs: [...seqs], attempt: 2, crashes: 0 };
    const lane = openLane(items, loaded({ nextSequence: 1 }));
    lane.resumeFrom(loaded({ nextSequence: 1, run }, 8));
    lane.releaseFrozen();
    const batch = lane.serial.take(NOW);
    return [batch.items, lane.backlog.waiting].map((list) => list.map((each) => told(each)));
  }
  const told = ({ seq, isLate }: InboxItem): string => (isLate === true ? `${seq} late` : `${seq}`);

  it('went on without a number: a message that comes with it now is late', () => {
    const items = [numbered(1, 3), numbered(2, 1), numbered(3, 2), numbered(4, 4)];
    expect(after([2, 1], ...items)).toEqual([
      ['2', '1'],
      ['3 late', '4'],
    ]);
  });

  it.each([1, 5])('had a number behind a higher one, with %d before them: it was late, and is', (first) => {
    const items = [numbered(1, first), numbered(2, first + 2), numbered(3, first + 1)];
    expect(after([1, 2, 3], ...items)).toEqual([['1', '2', '3 late'], []]);
  });

  it('took what is of one route: what another one has between its numbers waits on, in time', () => {
    expect(after([1, 3], numbered(1, 1), numbered(2, 2, 'other'), numbered(3, 3))).toEqual([['1', '3'], ['2']]);
  });
});

it('a number that comes after its lane went on without it is late at the next owner too, on whichever route it comes', async () => {
  const queue = { strategy: 'queue', gapTimeoutMs: 100 } as const;
  const a = setUpSession(queue, { worker: 'A/1' });
  await a.send(1);
  for (const [seq, sequence] of [
    [2, 1],
    [3, 4],
  ] as const)
    await a.send(seq, { sequence, thread: 'a' });
  await a.clock.advance(100);
  await a.end('a');
  expect(a.running()).toEqual([2, 3]);
  await a.fail('a');
  const from = await a.runner.releaseShard(0);
  const b = setUpSession(queue, {
    records: a.records,
    worker: 'B/1',
    isRecovery: false,
    from: { ...from, read: 0, open: [] },
  });
  // Number 2 came while the turn ran at A, 3 while no worker read.
  await b.send(2, { sequence: 1, thread: 'a' });
  await b.send(3, { sequence: 4, thread: 'a' });
  await b.send(4, { sequence: 2, thread: 'b' });
  await b.send(5, { sequence: 3, thread: 'a' });
  await b.clock.advance(1_000);
  for (let i = 0; i < 4; i++) await b.end('a').catch(() => {});
  const late = b.records
    .of('a')
    .flatMap(({ messages }) => messages.flatMap(({ seq, reason }) => (reason === 'late-sequence' ? [seq] : [])));
  expect(late.toSorted()).toEqual([4, 5]);
});
