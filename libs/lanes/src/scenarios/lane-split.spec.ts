import { describe, expect, it } from 'vitest';
import { cancelOrder } from './lane-process.fixture.js';
import { settled } from './lane-runner.fixture.js';
import { setUpSession } from './lane-strategies.fixture.js';

type Session = ReturnType<typeof setUpSession>;

/** Ends what runs: refused when these are in it, or when it has more messages than the agent takes. */
async function endAll(session: Session, poison: readonly number[], most = Number.POSITIVE_INFINITY): Promise<void> {
  for (let turn = session.turns.active.get('a'); turn !== undefined; turn = session.turns.active.get('a')) {
    if (turn.seqs.length > most || turn.seqs.some((seq) => poison.includes(seq))) turn.fail('Refused', 'split');
    else turn.end();
    await settled();
  }
}

/** Message 1 runs, and the others wait behind it: they are one batch. */
async function setUpBatch(count: number, queueing = {}): Promise<Session> {
  const session = setUpSession(queueing);
  for (let seq = 1; seq <= count + 1; seq++) await session.send(seq);
  await session.end('a');
  return session;
}

const inRuns = (session: Session) => session.records.of('a').map(({ run }) => run && [run.seqs, run.rest]);

describe('a refused batch', () => {
  it('L1 L2 L7 runs again in halves, each a run of its own, and only the culprit is dead', async () => {
    const session = await setUpBatch(5);
    await endAll(session, [5]);
    expect(session.batches()).toEqual([[1], [2, 3, 4, 5, 6], [2, 3], [4, 5, 6], [4], [5, 6], [5], [6]]);
    expect(session.decisions()).toEqual([...[1, 2, 3, 4].map((seq) => [seq, 'handled']), [5, 'dead'], [6, 'handled']]);
    const runs = session.turns.started.map(({ batch: { runId, attempt } }) => [runId, attempt]);
    expect(new Set(runs.map(([runId]) => runId)).size).toBe(8);
    expect(runs.map(([, attempt]) => attempt)).toEqual(runs.map(() => 1));
    expect(session.records.buried).toMatchObject([{ letter: { seq: 5, attempts: 1, error: { name: 'Refused' } } }]);
    expect(session.last()).toMatchObject({ upto: 6, run: null });
  });

  it('says in each record which part is next, and what comes behind it', async () => {
    const session = await setUpBatch(4);
    await endAll(session, [5]);
    expect(inRuns(session)).toEqual([null, [[2, 3], [[4, 5]]], [[4, 5], []], [[4], [[5]]], [[5], []], null]);
    expect(session.records.of('a')[1]).toMatchObject({ kind: 'note', messages: [], run: { attempt: 1, crashes: 0 } });
    expect(session.told().filter((type) => type === 'turn-split')).toHaveLength(2);
    expect(session.told()).not.toContain('turn-retrying');
  });

  it('finds one culprit of 400 in 2 log n calls', async () => {
    const session = await setUpBatch(400);
    await endAll(session, [300]);
    expect(session.records.buried.map(({ letter }) => letter.seq)).toEqual([300]);
    expect(session.batches().length).toBeLessThanOrEqual(2 + 2 * Math.ceil(Math.log2(400)));
    expect(session.last()).toMatchObject({ upto: 401, run: null });
  });

  it('that is too large for its agent is handled in parts, all of it and before what came later', async () => {
    const session = await setUpBatch(7);
    const [first] = session.turns.active.values();
    first?.fail('TooLarge', 'split');
    await settled();
    await session.sendAll(9, 10);
    await endAll(session, [], 2);
    expect(session.decisions()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((seq) => [seq, 'handled']));
    expect(session.batches().slice(-1)).toEqual([[9, 10]]);
    expect(session.records.buried).toEqual([]);
  });

  it('of one message is dead at once', async () => {
    const session = setUpSession({});
    await session.send(1);
    await endAll(session, [1]);
    expect([session.batches(), session.decisions()]).toEqual([[[1]], [[1, 'dead']]]);
  });

  it('tries a part that fails again as it is, and goes on with the others', async () => {
    const session = await setUpBatch(4);
    await session.fail('a', 'Refused', 'split');
    await session.fail('a', 'Boom');
    expect(session.last()).toMatchObject({ run: { seqs: [2, 3], attempt: 2, failures: 1, rest: [[4, 5]] } });
    await session.clock.advance(1_000);
    await endAll(session, []);
    expect(session.batches()).toEqual([[1], [2, 3, 4, 5], [2, 3], [2, 3], [4, 5]]);
  });

  it('keeps its parts out of a queue that is full, and lets none of them expire', async () => {
    const session = await setUpBatch(4, { maxQueueSize: 4, onQueueFull: 'drop-oldest', queueEntryTtlMs: 500 });
    await session.fail('a', 'Refused', 'split');
    await session.sendAll(6, 7, 8, 9, 10);
    await session.clock.advance(600);
    await endAll(session, []);
    expect(session.decisions().filter(([, decision]) => decision !== 'handled')).toEqual([[6, 'dropped']]);
  });

  it('goes on with what a cancel of one of its messages leaves', async () => {
    const session = await setUpBatch(4);
    await session.fail('a', 'Refused', 'split');
    // Of the part that runs, then of one that is to come.
    await session.send(6, cancelOrder({ what: 'message', seq: 2 }));
    session.turn('a').end();
    await settled();
    expect(session.last()).toMatchObject({ run: { seqs: [3], rest: [[4, 5]] } });
    await session.send(7, cancelOrder({ what: 'message', seq: 4 }));
    await endAll(session, []);
    expect(session.batches().slice(2)).toEqual([[2, 3], [3], [5]]);
    expect(session.decisions().filter(([, decision]) => decision === 'cancelled')).toEqual([
      [2, 'cancelled'],
      [4, 'cancelled'],
    ]);
  });

  it('goes on with what is left when a message of a part that waits for its next attempt is cancelled', async () => {
    const session = await setUpBatch(4);
    await session.fail('a', 'Refused', 'split');
    await session.fail('a', 'Boom');
    await session.send(6, cancelOrder({ what: 'message', seq: 2 }));
    expect(session.last()).toMatchObject({ run: { seqs: [3], attempt: 1, rest: [[4, 5]] } });
    await endAll(session, []);
    expect(session.batches().slice(2)).toEqual([[2, 3], [3], [4, 5]]);
  });

  it('of a cancelled session leaves nothing behind', async () => {
    const session = await setUpBatch(4);
    await session.fail('a', 'Refused', 'split');
    await session.send(6, cancelOrder({ what: 'session' }));
    session.turn('a').end();
    await settled();
    expect(session.last()).toMatchObject({ upto: 6, run: null });
    expect(session.turns.active.size).toBe(0);
    // The agent had what was still to come, too: these ids are not free again.
    const notes = session.records.of('a').filter(({ kind }) => kind === 'note');
    const cancelled = notes.flatMap(({ messages }) => messages.filter(({ decision }) => decision === 'cancelled'));
    expect(cancelled.map(({ seq, reason }) => [seq, reason])).toEqual([4, 5].map((seq) => [seq, 'between-attempts']));
  });

  it('is decided by halves under debounce: the latest of each part is its message', async () => {
    const session = setUpSession({ strategy: 'debounce', debounceMs: 10, maxDebounceMs: 100 });
    await session.sendAll(1, 2, 3, 4);
    await session.clock.advance(10);
    await endAll(session, [3]);
    expect(session.decisions()).toEqual([
      [1, 'superseded'],
      [2, 'handled'],
      [3, 'dead'],
      [4, 'handled'],
    ]);
  });

  it('of concurrent messages that a full queue summarized runs again in parts too', async () => {
    const session = setUpSession({
      strategy: 'concurrent',
      maxConcurrent: 1,
      maxQueueSize: 1,
      onQueueFull: 'summarize',
    });
    await session.sendAll(1, 2, 3, 4, 5);
    await session.end('a/1');
    expect(session.batches().at(-1)).toEqual([2, 3, 4]);
    await session.fail('a/2', 'Refused', 'split');
    expect(session.last()).toMatchObject({ run: null, runs: [{ seqs: [2], rest: [[3, 4]] }] });
    await session.sendAll(6);
    await session.end('a/2');
    expect(session.last()).toMatchObject({ runs: [{ seqs: [3, 4], attempt: 1, rest: [] }] });
    await session.end('a/3');
    for (let turn = session.turns.of('a')[0]; turn !== undefined; turn = session.turns.of('a')[0]) {
      turn.end();
      await settled();
    }
    expect(session.batches().slice(2)).toEqual([[2], [3, 4], [5], [6]]);
    expect(session.last()).toMatchObject({ upto: 6 });
    expect(session.last()).not.toHaveProperty('runs');
  });
});

describe('a worker that dies behind a split', () => {
  it.each([
    [
      'before the first part ends',
      0,
      [
        [2, 3],
        [4, 5],
      ],
    ],
    ['between two parts', 1, [[4, 5]]],
  ])('L3 L7 %s leaves the parts to the next one, and not the whole', async (_when, ended, left) => {
    const first = await setUpBatch(4);
    await first.fail('a', 'Refused', 'split');
    for (let i = 0; i < ended; i++) await first.end('a');
    const known = first.started('a').at(-1)?.runId;
    first.kill();
    const next = setUpSession({}, { records: first.records, clock: first.clock, isRecovery: true, worker: 'w/2' });
    for (const seq of [1, 2, 3, 4, 5, 6]) await next.receive('a', seq);
    next.runner.caughtUp(0);
    await settled();
    await endAll(next, []);
    expect(next.batches()).toEqual([...left, [6]]);
    expect(next.started('a')[0]).toMatchObject({ runId: known, attempt: 2 });
    expect(next.last()).toMatchObject({ upto: 6, run: null });
  });

  it('L1 leaves the parts to a former owner that still runs one, and the rest to the next', async () => {
    const first = await setUpBatch(4);
    await first.fail('a', 'Refused', 'split');
    const releasing = first.runner.releaseShard(0);
    await settled();
    const from = await releasing;
    const next = setUpSession({}, { records: first.records, clock: first.clock, worker: 'w/2', from });
    for (const seq of [2, 3, 4, 5]) await next.receive('a', seq);
    next.runner.caughtUp(0);
    await settled();
    expect(next.batches()).toEqual([]);
    await first.end('a');
    await next.clock.advance(5_000);
    await endAll(next, []);
    expect(next.batches()).toEqual([[4, 5]]);
    expect(next.last()).toMatchObject({ upto: 5, run: null });
  });
});
