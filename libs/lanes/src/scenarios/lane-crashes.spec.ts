import { describe, expect, it } from 'vitest';
import { decisionsOf, setUpProcess, type ProcessOptions } from './lane-process.fixture.js';
import type { LaneProgress } from '../runner/shard-lanes.js';
import { ManualClock, MemoryRecords, rawMessage, sessionKey, settled } from './lane-runner.fixture.js';

type Process = ReturnType<typeof setUpProcess>;

/** One inbox, and one process after another that reads it. */
function setUp(options: ProcessOptions = {}) {
  const clock = new ManualClock();
  const records = new MemoryRecords();
  const inbox: { session: string; body: object | string }[] = [];
  let process: Process | undefined;
  const deliver = (to: Process, seq: number): void => {
    const { session, body } = inbox[seq - 1] as (typeof inbox)[number];
    to.runner.receive(sessionKey(session), rawMessage(seq, body));
  };
  const send = async (session: string, body: object | string = {}): Promise<void> => {
    inbox.push({ session, body });
    if (process !== undefined) deliver(process, inbox.length);
    await settled();
  };
  /** The process is gone without a word, and another takes over. */
  const nextLife = async (more: ProcessOptions = {}): Promise<Process> => {
    const isRecovery = process !== undefined;
    process?.kill();
    const next = setUpProcess({ records, clock, isRecovery, crashedUpTo: inbox.length, ...options, ...more });
    process = next;
    for (let seq = 1; seq <= inbox.length; seq++) deliver(next, seq);
    next.runner.caughtUp(0);
    await settled();
    return next;
  };
  const runOf = (session: string) => records.of(session).at(-1)?.run;
  return { clock, records, send, nextLife, runOf, decided: (session: string) => decisionsOf(records.of(session)) };
}

const running = ({ turns }: Process): string[] => [...turns.active.keys()];

/** The third life of a process in which sessions were in work each time that it ended. */
async function thirdLife(sessions: readonly string[], options: ProcessOptions = {}) {
  const world = setUp(options);
  await world.nextLife();
  for (const session of sessions) await world.send(session);
  await world.nextLife();
  return { ...world, third: await world.nextLife() };
}

describe('crashes', () => {
  it('L4 a process that is stopped when its note stands begins nothing when it goes on, and later the same attempt', async () => {
    const { records, send, nextLife } = setUp();
    await nextLife();
    await send('a');
    let isStanding = true;
    const isNoted = (): boolean => records.of('a').at(-1)?.run?.attempt === 2;
    // It is asked once more when the note stands; then the process is stopped for longer than its time.
    const mayStart = (): boolean => {
      const answer = isStanding;
      if (isNoted()) isStanding = false;
      return answer;
    };
    const second = await nextLife({ mayStart });
    expect([isNoted(), isStanding, running(second)]).toEqual([true, false, []]);
    isStanding = true;
    second.runner.resume(0);
    await settled();
    expect([running(second), second.turn('a').batch.attempt]).toEqual([['a'], 2]);
    expect(records.of('a')).toHaveLength(1);
  });

  it.each([false, true])(
    'L4 L7 of a killer and of an innocent beside it, life by life: one ends dead, the other is handled (with hints: %s)',
    async (hasHints) => {
      const { clock, records, send, nextLife, runOf, decided } = setUp();
      const wait = (): Promise<void> => (hasHints ? clock.advance(60) : Promise.resolve());
      const first = await nextLife();
      for (const session of ['killer', 'innocent']) await send(session);
      const { runId } = first.turn('killer').batch;
      await wait();

      const second = await nextLife();
      expect(running(second)).toEqual(['killer', 'innocent']);
      expect(runOf('killer')).toEqual({ runId, seqs: [1], attempt: 2, crashes: 1 });
      expect(runOf('innocent')).toMatchObject({ seqs: [2], attempt: 2, crashes: 1 });
      await wait();

      const third = await nextLife();
      await send('fresh');
      expect(running(third)).toEqual(['killer', 'fresh']);
      expect(runOf('killer')).toEqual({ runId, seqs: [1], attempt: 3, crashes: 2, quarantined: true });
      expect(third.turn('killer').batch).toMatchObject({ isQuarantined: true, isCondemned: false });
      expect(runOf('innocent')).toMatchObject({ attempt: 2, crashes: 1 });
      await wait();

      const fourth = await nextLife();
      expect(fourth.started('killer')).toEqual([]);
      expect(records.of('killer').at(-1)).toMatchObject({
        ...{ kind: 'turn', status: 'failed', runId, attempt: 3, sends: [], run: null, upto: 1 },
        error: { name: 'worker_crashed', message: expect.stringContaining('3 times') },
        messages: [{ seq: 1, decision: 'dead', reason: 'worker_crashed' }],
      });
      expect(records.buried).toMatchObject([
        { session: 'killer', letter: { seq: 1, runId, error: { name: 'worker_crashed' } }, records: 2 },
      ]);
      expect(running(fourth)).toEqual(['innocent', 'fresh']);
      expect(fourth.turn('innocent').batch).toMatchObject({ attempt: 3, crashes: 2, isQuarantined: true });
      expect(fourth.turn('fresh').batch).toMatchObject({ attempt: 2, crashes: 1, isQuarantined: false });
      await fourth.end('innocent');
      await fourth.end('fresh');
      expect([decided('innocent'), decided('fresh')]).toEqual([[[2, 'handled']], [[3, 'handled']]]);
    },
  );

  it('are not counted for what only waited, however many there are', async () => {
    const { send, nextLife, runOf, records } = setUp({ capacity: 1 });
    await nextLife();
    for (const session of ['killer', 'waiting']) await send(session);
    for (let life = 2; life <= 3; life++) await nextLife();
    expect(records.of('waiting')).toEqual([]);
    const fourth = await nextLife();
    // Whether the first life had begun it is not known: one crash is counted, for all of them.
    expect(runOf('waiting')).toMatchObject({ attempt: 2, crashes: 1 });
    expect(fourth.turn('waiting').batch).toMatchObject({ attempt: 2, crashes: 1, isQuarantined: false });
  });

  it('are counted for one batch of a session: what waited behind it was not begun', async () => {
    const { send, nextLife, records } = setUp();
    const first = await nextLife();
    for (const thread of ['x', 'y']) await send('a', { thread });
    expect(first.turn('a').seqs).toEqual([1]);
    const second = await nextLife();
    expect(second.turn('a')).toMatchObject({ seqs: [1], batch: { attempt: 2, crashes: 1 } });
    await second.end('a');
    expect(second.turn('a')).toMatchObject({ seqs: [2], batch: { attempt: 1, crashes: 0 } });
    expect(records.of('a').map(({ kind }) => kind)).toEqual(['note', 'turn']);
  });

  it('of what came after the takeover are none', async () => {
    const { send, nextLife, records } = setUp();
    await nextLife();
    await send('a');
    const second = await nextLife();
    await send('b');
    expect(second.turn('b').batch).toMatchObject({ attempt: 1, crashes: 0 });
    expect([records.of('a').length, records.of('b').length]).toEqual([1, 0]);
  });

  it('are none of a retry that waits for its time, twice', async () => {
    const { clock, send, nextLife, runOf } = setUp();
    const first = await nextLife();
    await send('a');
    await first.fail('a', 'later', { laterMs: 30_000 });
    const before = runOf('a');
    for (let life = 2; life <= 3; life++) {
      await clock.advance(10_000);
      const next = await nextLife();
      expect([running(next), runOf('a')]).toEqual([[], before]);
    }
    const last = await nextLife();
    // A quarter behind what was asked for.
    await clock.advance(17_500);
    expect(last.turn('a').batch).toMatchObject({ attempt: 1, crashes: 0 });
  });

  it('cost no attempt: a turn is dead when it has failed as often as it may', async () => {
    const { clock, send, nextLife, records } = setUp();
    await nextLife();
    await send('a');
    const second = await nextLife();
    await second.fail('a');
    await clock.advance(1_000);
    expect(second.turn('a').batch).toMatchObject({ attempt: 3, crashes: 1, failures: 1 });
    const third = await nextLife();
    await third.fail('a');
    await clock.advance(2_000);
    expect(third.turn('a').batch).toMatchObject({ attempt: 5, crashes: 2, failures: 2, isQuarantined: true });
    await third.fail('a', 'Last');
    expect(records.of('a').at(-1)).toMatchObject({
      attempt: 5,
      error: { name: 'Last' },
      messages: [{ decision: 'dead' }],
    });
  });
});

describe('a process that only seemed to be gone', () => {
  it('L1 L4 cannot commit over the note of its successor, also for a turn that left no sign; its result is discarded', async () => {
    const first = setUpProcess();
    const { records, clock } = first;
    await first.receive('a', 1);
    const second = setUpProcess({ records, clock, isRecovery: true });
    await second.receive('a', 1);
    expect(records.of('a')).toMatchObject([{ kind: 'note', messages: [], run: { attempt: 2, crashes: 1 } }]);
    await first.end('a');
    expect([records.of('a').length, first.runner.discarded, second.runner.discarded]).toEqual([1, 1, 0]);
    await second.end('a');
    expect(decisionsOf(records.of('a'))).toEqual([[1, 'handled']]);
  });

  it('L4 that gets a record in after its successor asked for the last one is fenced all the same', async () => {
    const first = setUpProcess();
    const { records, clock } = first;
    await first.receive('a', 1);
    const second = setUpProcess({ records, clock, isRecovery: true, crashedUpTo: 2 });
    await first.receive('a', 2, 'rubbish');
    for (const seq of [1, 2]) await second.receive('a', seq);
    expect(second.turn('a').batch).toMatchObject({ attempt: 2, crashes: 1 });
    await first.end('a');
    expect([first.runner.discarded, decisionsOf(records.of('a'))]).toEqual([1, [[2, 'rejected']]]);
  });

  it('L1 that commits first has done it: its successor runs nothing of it again', async () => {
    const first = setUpProcess();
    const { records, clock } = first;
    await first.receive('a', 1);
    const second = setUpProcess({ records, clock, isRecovery: true });
    second.closed.add('write');
    await second.receive('a', 1);
    await first.end('a');
    await second.open();
    expect([second.turns.started, second.runner.discarded, second.runner.running]).toEqual([[], 0, 0]);
    await second.receive('a', 2);
    expect(second.turn('a').seqs).toEqual([2]);
    expect(decisionsOf(records.of('a'))).toEqual([[1, 'handled']]);
  });
});

describe('what ran in quarantine when the process ended', () => {
  it('is known by a note that was written beside it, too', async () => {
    const { send, nextLife, third, decided } = await thirdLife(['a']);
    await send('a', 'rubbish');
    expect([third.turn('a').seqs, decided('a')]).toEqual([[1], [[2, 'rejected']]]);
    const fourth = await nextLife();
    expect([fourth.started('a'), decided('a').at(-1)]).toEqual([[], [1, 'dead']]);
  });

  it('L6 ends dead in the life that can store its letter, and holds no other lane until then', async () => {
    const { send, nextLife, decided, records } = await thirdLife(['a']);
    const fourth = await nextLife({ shut: ['bury'] });
    await send('b');
    await send('a');
    expect([running(fourth), decided('a'), records.buried]).toEqual([['b'], [], []]);
    const fifth = await nextLife();
    expect([decided('a'), records.buried.length]).toEqual([[[1, 'dead']], 1]);
    expect(fifth.started('a').map(({ seqs }) => seqs)).toEqual([[3]]);
  });

  it('does not run again when the process stops before its end is written', async () => {
    const { nextLife, records, decided } = await thirdLife(['a']);
    const write = records.write.bind(records);
    let asked = 0;
    // A caller that asks without end is let through at last.
    records.write = (...args) => (++asked > 50 ? write(...args) : { kind: 'abandoned' });
    const fourth = await nextLife();
    expect([fourth.turns.started, records.buried.length, decided('a')]).toEqual([[], 1, []]);
    records.write = write;
    const fifth = await nextLife();
    expect([fifth.turns.started, decided('a')]).toEqual([[], [[1, 'dead']]]);
  });

  it('is not begun, nor tried again and again, when the process stops before its note is written', async () => {
    const { nextLife, records } = await thirdLife(['a', 'b']);
    let asked = 0;
    const write = records.write.bind(records);
    // A caller that asks without end is let through at last.
    records.write = (...args) => (++asked > 50 ? write(...args) : { kind: 'abandoned' });
    const fourth = await nextLife();
    expect(asked).toBeLessThanOrEqual(2);
    expect(fourth.turns.started).toEqual([]);
  });

  it('is not what was handed back by a stop: it may run, alone, once more', async () => {
    const { nextLife, third, runOf, records } = await thirdLife(['a']);
    await third.runner.releaseShard(0);
    await third.runner.work.handBackAll();
    expect(runOf('a')).toEqual({ ...records.of('a')[0]?.run, attempt: 4, crashes: 2, failures: 0 });
    const fourth = await nextLife();
    expect(runOf('a')).toMatchObject({ attempt: 4, crashes: 2, quarantined: true });
    expect(fourth.turn('a').batch).toMatchObject({ attempt: 4, isQuarantined: true, isCondemned: false });
  });

  it.each(['the shard is released', 'it is in doubt whether the shard is ours'])(
    'is not what its note alone was written for, when %s in between',
    async (what) => {
      let isOurs = true;
      const { nextLife, third, records, clock, runOf, decided } = await thirdLife(['a', 'b'], {
        mayStart: () => isOurs,
      });
      let released = Promise.resolve<LaneProgress | undefined>(undefined);
      const write = third.store.write.bind(third.store);
      third.store.write = async (key, ...args) => {
        const outcome = await write(key, ...args);
        if (key.sessionToken === 'b' && what === 'the shard is released') released = third.runner.releaseShard(0);
        if (key.sessionToken === 'b') isOurs = false;
        return outcome;
      };
      await third.end('a');
      expect([running(third), runOf('b')?.crashes]).toEqual([[], 2]);
      const from = await released;
      if (from !== undefined) {
        // It waits for a slot there, and nothing of it begins.
        const other = setUpProcess({ records, clock, from, capacity: 1 });
        await other.receive('z', 3);
        await other.receive('b', 2);
        expect(running(other)).toEqual(['z']);
        other.kill();
      }
      isOurs = true;
      const last = await nextLife();
      expect([decided('b'), running(last)]).toEqual([[], ['b']]);
      expect(last.turn('b').batch).toMatchObject({ crashes: 2, isQuarantined: true, isCondemned: false });
    },
  );
});
