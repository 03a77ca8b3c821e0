import { describe, expect, it } from 'vitest';
import { seqsOf, setUpHandoffs } from '../scenarios/lane-handoff.fixture.js';
import { Handoffs, type HandoffEnd } from './handoffs.js';
import { cancelOrder, decisionsOf, setUpProcess } from '../scenarios/lane-process.fixture.js';
import { NO_FORMER_OWNERS, sessionKey, settled } from '../scenarios/lane-runner.fixture.js';
import { HOME } from '../lane/lane.fixture.js';
import { Lane } from '../lane/lane.js';

describe('a turn that runs when its shard is released', () => {
  it('L1 L5 ends and commits at its holder; the new owner starts everything else at once, and the rest behind it', async () => {
    const { clock, records, start } = setUpHandoffs();
    const a = start('A/1', { capacity: 1 });
    for (const [i, session] of ['a', 'b', 'a'].entries()) await a.receive(session, i + 1);
    const from = await a.runner.releaseShard(0);
    expect(from).toEqual({
      read: 3,
      tail: 0,
      open: [
        { session: 'main.a', from: 1, holder: 'A/1', since: 0 },
        { session: 'main.b', from: 2 },
      ],
    });
    const b = start('B/1', { from });
    for (const [i, session] of ['a', 'b', 'a', 'c'].entries()) await b.receive(session, i + 1);
    expect([...b.turns.active.keys()]).toEqual(['b', 'c']);
    await clock.advance(5_000);
    expect(seqsOf(b)).toEqual([]);
    expect(a.turn('a').signal.aborted).toBe(false);
    await a.end('a');
    await clock.advance(5);
    expect(b.turn('a').seqs).toEqual([3]);
    expect(b.turn('a').batch).toMatchObject({ attempt: 1, crashes: 0 });
    await b.end('a');
    expect(records.of('a')).toMatchObject([
      { kind: 'turn', worker: 'A/1', messages: [{ seq: 1 }] },
      { kind: 'turn', worker: 'B/1', messages: [{ seq: 3 }], upto: 3, done: [] },
    ]);
    expect([seqsOf(a), seqsOf(a, 'b'), a.runner.discarded, b.runner.discarded]).toEqual([[[1]], [], 0, 0]);
  });

  it('L1 nothing is decided for its session by the new owner, and everything is as soon as it has ended', async () => {
    const { clock, records, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    await b.receive('a', 2, 'rubbish');
    await b.receive('a', 3);
    await b.receive('a', 4);
    await b.receive('a', 5, cancelOrder({ what: 'message', seq: 3 }));
    await clock.advance(10_000 - 61);
    expect([records.writes, seqsOf(b)]).toEqual([0, []]);
    await a.end('a');
    await clock.advance(5);
    expect(records.of('a').map(({ worker }) => worker)).toEqual(['A/1', 'B/1', 'B/1']);
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'handled'],
      [3, 'cancelled'],
      [5, 'handled'],
      [2, 'rejected'],
    ]);
    expect(b.turn('a').seqs).toEqual([4]);
  });

  it('has ended already when the new owner looks for the first time', async () => {
    const { records, start } = setUpHandoffs();
    const a = start('A/1');
    await a.receive('a', 1);
    const from = await a.runner.releaseShard(0);
    await a.end('a');
    const b = start('B/1', { from });
    for (const seq of [1, 2]) await b.receive('a', seq);
    expect(b.turn('a').seqs).toEqual([2]);
    expect(records.of('a').length).toBe(1);
  });

  it('ends in a look that no hint asked for', async () => {
    const { clock, records, heldByA } = setUpHandoffs();
    const watch = records.watch.bind(records);
    records.watch = (session) => watch(session, () => {});
    const { a, b } = await heldByA();
    await b.receive('a', 2);
    await clock.advance(500);
    await a.end('a');
    await clock.advance(624);
    expect(seqsOf(b)).toEqual([]);
    await clock.advance(1);
    expect(seqsOf(b)).toEqual([[2]]);
  });

  it('L6 a look that fails is no end: there is a next one', async () => {
    const { clock, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    await b.receive('a', 2);
    const { loadHead } = b.store;
    b.store.loadHead = () => Promise.reject(new Error('damaged'));
    await a.end('a');
    await clock.advance(3_000);
    expect(seqsOf(b)).toEqual([]);
    b.store.loadHead = loadHead;
    await clock.advance(1_000);
    expect(seqsOf(b)).toEqual([[2]]);
  });

  it('L1 is named by everybody on the way from A to B to C, and only the last of them goes on', async () => {
    const { clock, records, asked, start, heldByA } = setUpHandoffs();
    const { a, b, from } = await heldByA();
    await b.receive('a', 2);
    await clock.advance(3_000);
    const handedOn = { ...from, read: 2 };
    expect(b.runner.progress(0)).toEqual(handedOn);
    expect(await b.runner.releaseShard(0)).toEqual(handedOn);
    asked.length = 0;
    await clock.advance(10_000 - 3_061);
    expect(asked).toEqual([]);
    const c = start('C/1', { from: handedOn });
    for (const seq of [1, 2]) await c.receive('a', seq);
    await a.end('a');
    await clock.advance(2_000);
    expect([seqsOf(a), seqsOf(b), seqsOf(c)]).toEqual([[[1]], [], [[2]]]);
    await c.end('a');
    expect(records.of('a').map(({ worker }) => worker)).toEqual(['A/1', 'C/1']);
  });

  it('L1 comes back to its own holder, which waits for it as everybody does', async () => {
    const { clock, records, start, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    a.runner.openShard(0, await b.runner.releaseShard(0));
    for (const seq of [1, 2]) await a.receive('a', seq);
    await clock.advance(3_000);
    expect(seqsOf(a)).toEqual([[1]]);
    expect(a.runner.progress(0)?.open).toEqual([{ session: 'main.a', from: 1, holder: 'A/1', since: 0 }]);
    expect(a.answer()).toMatchObject({ state: 'held', depth: 2, worker: 'A/1' });
    await a.end('a');
    await clock.advance(5);
    expect(seqsOf(a)).toEqual([[1], [2]]);
    await a.end('a');
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'handled'],
      [2, 'handled'],
    ]);
    expect(start('D/1').answer().state).toBe('idle');
  });

  it('is what the owner answers for its session: held, and by whom', async () => {
    const { clock, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    await b.receive('a', 2);
    expect(b.answer()).toEqual({ state: 'held', depth: 2, oldestMs: 1_060 - 901, worker: 'A/1' });
    expect(b.runner.runningIn(0)).toBe(0);
    await a.end('a');
    await clock.advance(5);
    expect(b.answer()).toMatchObject({ state: 'running', depth: 0, worker: 'B/1' });
  });

  it('that fails is retried by the owner, after its backoff, and not by its holder', async () => {
    const { clock, records, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    const [former] = a.started('a');
    await a.fail('a');
    const failedAt = clock.now();
    await clock.advance(999);
    expect(b.answer()).toMatchObject({
      state: 'retrying',
      retry: { ...former, attempt: 2, notBefore: failedAt + 1_000 },
    });
    expect(seqsOf(b)).toEqual([]);
    await clock.advance(1);
    expect(b.started('a')).toEqual([{ ...former, attempt: 2 }]);
    expect(b.turn('a').batch).toMatchObject({ crashes: 0, failures: 1 });
    await clock.advance(5_000);
    expect([a.started('a').length, records.of('a').length, a.runner.running]).toEqual([1, 1, 0]);
  });

  it('that is handed back runs again at the owner at once; it neither crashed nor failed', async () => {
    const { clock, records, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    const [former] = a.started('a');
    const held = a.turn('a');
    await a.runner.work.handBackAll();
    await clock.advance(5);
    expect(b.started('a')).toEqual([{ ...former, attempt: 2 }]);
    expect(b.turn('a').batch).toMatchObject({ crashes: 0, failures: 0 });
    held.end();
    await settled();
    expect([records.of('a').length, a.runner.discarded, b.runner.discarded]).toEqual([1, 0, 0]);
  });
});

describe('a holder that is gone', () => {
  it('L4 is fenced by a note that counts the crash, and its batch runs again, once', async () => {
    const { clock, records, gone, asked, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    const [former] = a.started('a');
    await b.receive('a', 2);
    await clock.advance(2_000);
    expect(seqsOf(b)).toEqual([]);
    expect(new Set(asked)).toEqual(new Set(['A/1']));
    gone.add('A/1');
    await clock.advance(1_000);
    expect(records.of('a')).toMatchObject([
      { kind: 'note', messages: [], run: { ...former, attempt: 2, crashes: 1 }, worker: 'B/1' },
    ]);
    expect(b.started('a')).toEqual([{ ...former, attempt: 2 }]);
    // It was not gone, after all: what it has to say comes too late, and it is told so.
    await a.end('a');
    expect([records.of('a').length, a.runner.discarded]).toEqual([1, 1]);
    await clock.advance(2_000);
    await b.end('a');
    expect(b.turn('a').seqs).toEqual([2]);
    expect(decisionsOf(records.of('a'))).toEqual([[1, 'handled']]);
  });

  it('L4 is fenced also when its turn left no sign, and its messages are read after its end is known', async () => {
    const { clock, records, gone, start } = setUpHandoffs();
    const a = start('A/1');
    await a.receive('a', 1);
    const from = await a.runner.releaseShard(0);
    gone.add('A/1');
    const b = start('B/1', { from });
    await clock.advance(2_000);
    for (const seq of [1, 2]) await b.receive('a', seq);
    expect(records.of('a')).toMatchObject([{ kind: 'note', run: { attempt: 2, crashes: 1 } }]);
    expect(b.turn('a').batch).toMatchObject({ attempt: 2, crashes: 1 });
  });

  it('L1 wrote its record between the two looks: it ended as it should, and nothing is counted', async () => {
    const { clock, records, formerOwners, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    await b.receive('a', 2);
    formerOwners.isGone = async () => {
      await a.end('a');
      return true;
    };
    await clock.advance(1_000);
    expect(decisionsOf(records.of('a'))).toEqual([[1, 'handled']]);
    expect(records.of('a').length).toBe(1);
    expect(b.turn('a')).toMatchObject({ seqs: [2], batch: { attempt: 1, crashes: 0 } });
  });

  it('is asked about only when its record is not there', async () => {
    const { clock, asked, heldByA } = setUpHandoffs();
    const { a } = await heldByA();
    await a.end('a');
    asked.length = 0;
    await clock.advance(5_000);
    expect(asked).toEqual([]);
  });
});

describe('Handoffs', () => {
  function watching() {
    const process = setUpProcess();
    const { records, clock, store } = process;
    const ends: HandoffEnd[] = [];
    let looks = 0;
    const loadHead = store.loadHead.bind(store);
    store.loadHead = (key) => {
      looks++;
      return loadHead(key);
    };
    const handoffs = new Handoffs(store, NO_FORMER_OWNERS, clock, (_lane, end) => ends.push(end));
    const lane = new Lane('main.a', HOME);
    lane.handoff = { holder: 'w/0', since: 0 };
    handoffs.watch(lane, lane.handoff);
    const record = (): void => {
      const { head, seq } = records.head('a');
      const note = { v: 1, kind: 'note', commitId: 'x', worker: 'w/0', ...head, messages: [] };
      records.write('a', JSON.stringify(note), seq);
    };
    return { ...process, handoffs, lane, ends, record, looksSoFar: () => looks };
  }

  it('has one look on its way at a time, and tells the end once', async () => {
    const { clock, ends, closed, open, record, looksSoFar } = watching();
    closed.add('head');
    record();
    await clock.advance(5_000);
    expect([looksSoFar(), ends]).toEqual([1, []]);
    await open();
    expect(ends).toMatchObject([{ loaded: { seq: 1 } }]);
    record();
    await clock.advance(5_000);
    expect([looksSoFar(), ends.length]).toEqual([1, 1]);
  });

  it('tells nothing of what it has forgotten, though a look was on its way', async () => {
    const { clock, ends, closed, open, record, handoffs, lane, looksSoFar } = watching();
    closed.add('head');
    record();
    await clock.advance(5);
    handoffs.forget(lane);
    handoffs.forget(lane);
    await open();
    record();
    await clock.advance(5_000);
    expect([looksSoFar(), ends]).toEqual([1, []]);
  });
});

it('L1 L4 a holder that is known to be gone is fenced by the next owner when this one had no slot for it', async () => {
  const { clock, records, gone, start } = setUpHandoffs();
  const a = start('A/1');
  await a.receive('a', 1);
  await clock.advance(60);
  const from = await a.runner.releaseShard(0);
  // Its only slot is taken.
  const b = start('B/1', { from, capacity: 1 });
  await b.receive('other', 3);
  await b.receive('a', 1);
  b.runner.receivedOpen(sessionKey('a'));
  b.runner.caughtUp(0);
  gone.add('A/1');
  await clock.advance(2_000);
  const next = await b.runner.releaseShard(0);
  const c = start('C/1', { from: next });
  await c.receive('a', 1);
  c.runner.receivedOpen(sessionKey('a'));
  c.runner.caughtUp(0);
  await clock.advance(2_000);
  expect(records.of('a')).toMatchObject([{ kind: 'note', run: { attempt: 2, crashes: 1 }, worker: 'C/1' }]);
  expect(c.turn('a').batch).toMatchObject({ attempt: 2, crashes: 1 });
  // It was not gone, after all.
  await a.end('a');
  expect(records.of('a').length).toBe(1);
});

it('L4 a process that may have lost its shard writes nothing when a hold of it ends', async () => {
  const { clock, records, start } = setUpHandoffs();
  const a = start('A/1');
  await a.receive('a', 1);
  await clock.advance(60);
  const from = await a.runner.releaseShard(0);
  let mayStart = true;
  const b = start('B/1', { from, mayStart: () => mayStart });
  await b.receive('a', 1);
  b.runner.receivedOpen(sessionKey('a'));
  b.runner.caughtUp(0);
  await b.receive('a', 2, 'rubbish');
  mayStart = false;
  await a.end('a');
  await clock.advance(2_000);
  expect(records.of('a')).toMatchObject([{ kind: 'turn', worker: 'A/1' }]);
  mayStart = true;
  b.runner.resume(0);
  await clock.advance(100);
  expect(decisionsOf(records.of('a'))).toEqual([
    [1, 'handled'],
    [2, 'rejected'],
  ]);
});
