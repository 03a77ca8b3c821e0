import { describe, expect, it } from 'vitest';
import { type SessionRecord, emptyHead } from '#contracts';
import type { TurnRunner } from '../ports.js';
import {
  afterCrash,
  makeRunner,
  ManualClock,
  ManualTurns,
  MemoryRecords,
  MemoryStore,
  POLICY,
  rawMessage,
  sessionKey,
  UNBOUNDED,
  settled,
  type StartedTurn,
} from './lane-runner.fixture.js';

/** A runner in memory. `send` gives messages as the reader would, one sequence after the other. */
function setUp(options: { capacity?: number; isRecovery?: boolean; records?: MemoryRecords; turns?: TurnRunner } = {}) {
  const clock = new ManualClock();
  const records = options.records ?? new MemoryRecords();
  const turns = new ManualTurns();
  /** While closed, what was written does not reach the broker. */
  const gate = { isClosed: false, open: [] as (() => void)[] };
  const store = new MemoryStore(records, (what) =>
    what === 'write' && gate.isClosed ? new Promise((resolve) => void gate.open.push(resolve)) : Promise.resolve(),
  );
  const { capacity = 100, isRecovery = false } = options;
  const from = isRecovery ? { from: afterCrash(records) } : {};
  const runner = makeRunner({ store, turns: options.turns ?? turns, clock, capacity, ...from });
  let lastSeq = 0;
  const send = async (session: string, body: object | string = {}, agent = 'main'): Promise<number> => {
    const seq = ++lastSeq;
    runner.receive(sessionKey(session, agent), rawMessage(seq, body));
    await settled();
    return seq;
  };
  const turn = (session: string): StartedTurn => {
    const active = turns.active.get(session);
    if (active === undefined) throw new Error(`no turn of session ${session} runs`);
    return active;
  };
  const end = async (session: string, outcome?: Parameters<StartedTurn['end']>[0]): Promise<void> => {
    turn(session).end(outcome);
    await settled();
  };
  return { clock, records, turns, runner, store, gate, send, turn, end };
}

const STARTED = { type: 'turn-started' as const, attempt: 1, headSeq: 0, at: 1, worker: 'w/0' };

const decisionsOf = (records: readonly SessionRecord[]) =>
  records.flatMap(({ messages }) => messages.map(({ seq, decision }) => [seq, decision]));

/** Another process decides a message of the session. */
function decideElsewhere(records: MemoryRecords, session: string, seq: number): void {
  const { head, seq: headSeq } = records.head(session);
  const messages = [{ id: `m${seq}`, seq, decision: 'dropped' }];
  const note = {
    v: 1,
    kind: 'note',
    commitId: 'theirs',
    worker: 'w/2',
    ...emptyHead(),
    ...head,
    done: [[seq, seq]],
    messages,
  };
  records.write(session, JSON.stringify(note), headSeq);
}

describe('turns', () => {
  it('L1 one at a time per session; what came meanwhile is the next one', async () => {
    const { turns, turn, send, end, records } = setUp();
    await send('a');
    await send('a');
    await send('a');
    expect(turns.started.map(({ seqs }) => seqs)).toEqual([[1]]);
    await end('a');
    expect(turn('a').seqs).toEqual([2, 3]);
    await end('a');
    expect(records.of('a').map(({ kind }) => kind)).toEqual(['turn', 'turn']);
    expect(records.head('a').head).toMatchObject({ upto: 3, done: [] });
  });

  it('L5 sessions run side by side', async () => {
    const { turns, send, end, records } = setUp();
    for (const session of ['a', 'b', 'c']) await send(session);
    expect([...turns.active.keys()]).toEqual(['a', 'b', 'c']);
    await end('c');
    expect(decisionsOf(records.of('c'))).toEqual([[3, 'handled']]);
    expect(records.of('a')).toEqual([]);
  });

  it('L2 routes take turns by their oldest message, each in inbox order', async () => {
    const { turns, send, end } = setUp();
    await send('a', { thread: 'x' });
    for (const thread of ['y', 'x', 'y', 'x']) await send('a', { thread });
    await end('a');
    await end('a');
    await end('a');
    expect(turns.started.map(({ seqs }) => seqs)).toEqual([[1], [2, 4], [3, 5]]);
  });

  it('L5 at the capacity the oldest message goes first, and no other message waits', async () => {
    const { runner, turns, send, end } = setUp({ capacity: 2 });
    for (const session of ['a', 'b', 'a', 'c', 'd', 'c']) await send(session);
    expect([...turns.active.keys()]).toEqual(['a', 'b']);
    expect(runner.waiting).toBe(2);
    await end('b');
    expect([...turns.active.keys()]).toEqual(['a', 'c']);
    // The second message of `a` is older than the first of `d`, but its lane was not ready before this.
    await end('a');
    expect([...turns.active.keys()]).toEqual(['c', 'd']);
    await end('c');
    await end('d');
    expect([...turns.active.keys()]).toEqual(['a']);
    await end('a');
    expect(turns.started.map(({ seqs }) => seqs)).toEqual([[1], [2], [4, 6], [5], [3]]);
  });

  it('L6 a turn that fails is decided dead, sends nothing, and its lane goes on without a further message', async () => {
    const { turn, send, end, records } = setUp();
    await send('a');
    await send('a');
    turn('a').fail('Boom');
    await settled();
    expect(records.of('a')).toMatchObject([
      {
        status: 'failed',
        sends: [],
        error: { name: 'Boom' },
        messages: [{ seq: 1, decision: 'dead', reason: 'Boom' }],
      },
    ]);
    await end('a', { replies: [{ kind: 'reply', text: 'hi' }] });
    expect(records.of('a')[1]).toMatchObject({ status: 'succeeded', sends: [{ kind: 'reply', text: 'hi' }] });
  });

  it.each<[string, TurnRunner['run']]>([
    ['rejects', () => Promise.reject(Object.create(null))],
    [
      'throws',
      () => {
        throw new Error('at once');
      },
    ],
  ])('L6 a runner that %s fails its turn, and no other lane', async (_title, run) => {
    const turns = {
      knows: () => true,
      policyOf: () => POLICY,
      queueingOf: () => UNBOUNDED,
      runsOutside: () => false,
      run,
    };
    const { clock, send, records, runner } = setUp({ turns });
    await send('a');
    await send('b');
    for (const session of ['a', 'b']) {
      expect(records.of(session)).toMatchObject([{ status: 'failed', error: { name: 'runner_failed' } }]);
    }
    expect(runner.running).toBe(0);
    await clock.advance(1_000);
    expect(records.announced).toEqual([]);
  });

  it('L6 what JSON cannot hold fails its turn, and the lane goes on', async () => {
    const { send, end, records } = setUp();
    await send('a');
    await send('a');
    const round: { own?: unknown } = {};
    round.own = round;
    await end('a', { replies: [{ kind: 'reply', data: round as never }] });
    await end('a', { state: { value: () => 1 } });
    expect(records.of('a')).toMatchObject([
      { error: { name: 'record_failed' } },
      { error: { name: 'state_not_json' } },
    ]);
  });

  it('L6 a backlog of any length is decided, in turns and in rejections', async () => {
    const { runner, turns, end, send, records } = setUp();
    const id = '\uFFFD'.repeat(255);
    for (let seq = 1; seq <= 1_200; seq++) runner.receive(sessionKey('a'), rawMessage(seq, { id: `${id}${seq % 10}` }));
    for (let seq = 1; seq <= 1_200; seq++) runner.receive(sessionKey('b'), rawMessage(seq, 'broken'));
    await settled();
    await end('a', { state: { value: 's'.repeat(262_000) } });
    while (turns.active.has('a')) await end('a', { replies: [{ kind: 'reply', text: 'r'.repeat(700_000) }] });
    for (const session of ['a', 'b']) {
      expect(records.head(session).head).toMatchObject({ upto: 1_200, done: [] });
      expect(decisionsOf(records.of(session)).length).toBe(1_200);
    }
    expect(records.of('a')[1]).toMatchObject({ error: { name: 'record_too_large' } });
    await send('a');
  });
});

describe('rejections', () => {
  it.each<[string, Parameters<ReturnType<typeof setUp>['send']>]>([
    ['a body that is no JSON', ['a', 'hello']],
    ['a body of another version', ['a', { v: 9 }]],
    ['an agent token that names no agent', ['a', {}, 'Main=20x']],
    ['a session token that is not canonical', ['=61', {}]],
    ['a session key that is too long', ['a'.repeat(513), {}]],
  ])('%s is decided by a note, and no turn sees it', async (_title, [session, body, agent]) => {
    const { turns, send, records } = setUp();
    await send(session, body, agent);
    expect(records.of(session)).toMatchObject([
      { kind: 'note', messages: [{ seq: 1, decision: 'rejected', reason: expect.stringMatching(/.{10}/) }], upto: 1 },
    ]);
    expect(turns.started).toEqual([]);
  });

  it('a body that is no UTF-8 is one of them', async () => {
    const { runner, records } = setUp();
    runner.receive(sessionKey('a'), { ...rawMessage(1), data: Uint8Array.of(0x22, 0xff, 0x22) });
    await settled();
    expect(records.of('a')).toMatchObject([{ messages: [{ reason: 'the body is no UTF-8' }] }]);
  });

  it('L6 is written while a turn runs, which ends as if nothing had been', async () => {
    const { send, end, records } = setUp();
    await send('a');
    await send('a', 'broken');
    await send('a');
    expect(records.of('a')).toMatchObject([
      { kind: 'note', messages: [{ id: 'seq:2', seq: 2 }], upto: 0, done: [[2, 2]] },
    ]);
    await end('a');
    await end('a');
    expect(decisionsOf(records.of('a'))).toEqual([
      [2, 'rejected'],
      [1, 'handled'],
      [3, 'handled'],
    ]);
    expect(records.head('a').head).toMatchObject({ upto: 3, done: [] });
  });

  it('L1 a turn that ends while a note is on its way is committed behind it', async () => {
    const { send, end, records, gate } = setUp();
    await send('a');
    gate.isClosed = true;
    await send('a', 'broken');
    await send('a', 'broken too');
    await end('a');
    expect(records.writes).toBe(0);
    gate.isClosed = false;
    for (const open of gate.open) open();
    await settled();
    expect(decisionsOf(records.of('a'))).toEqual([
      [2, 'rejected'],
      [1, 'handled'],
      [3, 'rejected'],
    ]);
  });
});

describe('lost commits', () => {
  it('L1 a result is discarded when another record decided a part of its batch; the rest runs again', async () => {
    const { runner, turn, turns, end, records } = setUp();
    for (const seq of [1, 2]) runner.receive(sessionKey('a'), rawMessage(seq));
    await settled();
    const former = turn('a').batch.runId;
    decideElsewhere(records, 'a', 2);
    await end('a');
    expect(turn('a').seqs).toEqual([1]);
    expect(turn('a').batch.runId).not.toBe(former);
    await end('a');
    expect(decisionsOf(records.of('a'))).toEqual([
      [2, 'dropped'],
      [1, 'handled'],
    ]);
    expect(turns.active.size).toBe(0);
  });

  it('L1 a note that finds it out while the turn runs leads to the same', async () => {
    const { runner, send, turns, end, turn, records } = setUp();
    for (const seq of [1, 2]) runner.receive(sessionKey('a'), rawMessage(seq));
    await settled();
    decideElsewhere(records, 'a', 2);
    runner.receive(sessionKey('a'), rawMessage(3, 'broken'));
    await settled();
    const writes = records.writes;
    await end('a');
    expect(records.writes).toBe(writes);
    expect(turn('a').seqs).toEqual([1]);
    await end('a');
    expect(decisionsOf(records.of('a')).map(([seq]) => seq)).toEqual([2, 3, 1]);
    await send('b');
    expect(turns.active.size).toBe(1);
  });
});

describe('stop', () => {
  it('starts nothing new, also for lanes that wait for a slot, and is idle when the last turn is committed', async () => {
    const { runner, turns, send, end, records } = setUp({ capacity: 2 });
    for (const session of ['a', 'b', 'c', 'a']) await send(session);
    expect(runner.waiting).toBe(1);
    const { open } = await runner.releaseShard(0);
    expect(runner.waiting).toBe(0);
    expect(open.map(({ session, holder }) => [session, holder])).toEqual([
      ['main.a', 'w/1'],
      ['main.b', 'w/1'],
      ['main.c', undefined],
    ]);
    let isIdle = false;
    void runner.work.whenIdle().then(() => (isIdle = true));
    await send('d');
    await send('e', 'broken');
    expect(records.writes).toBe(0);
    await end('a');
    expect([isIdle, runner.running]).toEqual([false, 1]);
    await end('b');
    expect([isIdle, runner.running]).toEqual([true, 0]);
    expect(turns.started.map(({ session }) => session)).toEqual(['a', 'b']);
    expect([records.of('a').length, records.of('b').length, records.of('c').length]).toEqual([1, 1, 0]);
  });

  it('is idle at once when nothing runs', async () => {
    await expect(setUp().runner.work.whenIdle()).resolves.toBeUndefined();
  });

  it('L3 what is aborted is decided nowhere, whatever it still answers: a note hands its batch back', async () => {
    const { runner, turn, send, records } = setUp();
    await send('a');
    await send('b');
    const [a, b] = [turn('a'), turn('b')];
    const { signal } = a;
    expect(signal.aborted).toBe(false);
    await runner.releaseShard(0);
    await runner.work.handBackAll();
    expect(signal.aborted).toBe(true);
    a.end();
    b.fail('Aborted');
    await settled();
    for (const { session, batch, seqs } of [a, b]) {
      const run = { runId: batch.runId, seqs, attempt: 2, crashes: 0, failures: 0 };
      expect(records.of(session)).toMatchObject([{ kind: 'note', messages: [], upto: 0, run }]);
      expect(records.of(session)[0]?.run).toEqual(run);
    }
    expect([records.writes, runner.running, runner.discarded]).toEqual([2, 0, 0]);
  });
});

describe('signs of a begun turn', () => {
  it('goes out after 50 ms, once, and not for a shorter turn', async () => {
    const { clock, send, end, turn, records } = setUp();
    await send('a');
    await clock.advance(49);
    await end('a');
    await clock.advance(500);
    expect(records.announced).toEqual([]);
    await send('a');
    const { runId } = turn('a').batch;
    await clock.advance(49);
    expect(records.announced).toEqual([]);
    await clock.advance(1);
    const at = 1_000 + 49 + 500;
    const event = { type: 'turn-started', runId, attempt: 1, seqs: [2], headSeq: 1, at, worker: 'w/1' };
    expect(records.announced).toEqual([event]);
    await clock.advance(500);
    expect(records.announced).toEqual([event]);
  });

  it('goes out at once when the agent runs outside', async () => {
    const { turns, clock, send, records } = setUp();
    turns.isOutside = true;
    await send('a');
    expect(records.announced).toMatchObject([{ seqs: [1] }]);
    await clock.advance(500);
    expect(records.announced.length).toBe(1);
  });

  it('L7 after a crash the same batch runs again under its id, behind a note that fences the former process', async () => {
    const first = setUp();
    await first.send('a');
    await first.clock.advance(60);
    const former = first.turn('a').batch;
    const { records } = first;
    const second = setUp({ records, isRecovery: true });
    for (const _ of [1, 2, 3]) await second.send('a');
    expect(records.of('a')).toMatchObject([
      { kind: 'note', messages: [], run: { runId: former.runId, seqs: [1], attempt: 2 } },
    ]);
    expect(second.turn('a')).toMatchObject({ seqs: [1], batch: { runId: former.runId, attempt: 2 } });
    // The former process was not dead: its commit comes too late.
    await first.end('a');
    expect(records.of('a').length).toBe(1);
    await second.end('a');
    await second.end('a');
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'handled'],
      [2, 'handled'],
      [3, 'handled'],
    ]);
  });

  it('L6 a batch whose messages are gone holds its lane only until the reader has caught up', async () => {
    const records = new MemoryRecords();
    records.announce('a', { ...STARTED, runId: 'old', seqs: [1, 99] }, false);
    const { runner, turns, send, turn } = setUp({ records, isRecovery: true });
    await send('a');
    runner.caughtUp(3);
    await settled();
    expect(turns.started).toEqual([]);
    runner.caughtUp(0);
    await settled();
    expect(turn('a').seqs).toEqual([1]);
    expect(turn('a').batch.runId).not.toBe('old');
  });

  it('L6 also when the reader had caught up before the head was read', async () => {
    const records = new MemoryRecords();
    records.announce('a', { ...STARTED, runId: 'old', seqs: [1, 99] }, false);
    const { runner, turn } = setUp({ records, isRecovery: true });
    runner.receive(sessionKey('a'), rawMessage(1));
    runner.caughtUp(0);
    await settled();
    expect(turn('a').seqs).toEqual([1]);
  });

  it('L7 the reader of another shard does not speak for it', async () => {
    const records = new MemoryRecords();
    records.announce('a', { ...STARTED, runId: 'old', seqs: [1, 3] }, false);
    const { runner, turn, turns, send } = setUp({ records, isRecovery: true });
    runner.openShard(1, { read: 0, tail: 0, open: [] });
    await send('a');
    runner.caughtUp(1);
    await settled();
    expect(turns.started).toEqual([]);
    for (let i = 0; i < 2; i++) await send('a');
    expect(turn('a')).toMatchObject({ seqs: [1, 3], batch: { runId: 'old' } });
  });

  it('a head that cannot be read holds its own lane alone, and is tried again', async () => {
    const { runner, clock, turns, records, store, send } = setUp();
    const { loadHead } = store;
    store.loadHead = () => Promise.reject(new Error('damaged'));
    runner.receive(sessionKey('a'), rawMessage(1));
    await settled();
    store.loadHead = loadHead;
    await send('b');
    await clock.advance(29_999);
    expect([...turns.active.keys()]).toEqual(['b']);
    await clock.advance(1);
    expect([...turns.active.keys()]).toEqual(['b', 'a']);
    expect(records.writes).toBe(0);
  });

  it('is tried no more when its shard is gone', async () => {
    const { runner, clock, store } = setUp();
    let asked = 0;
    store.loadHead = () => {
      asked++;
      return Promise.reject(new Error('damaged'));
    };
    runner.receive(sessionKey('a'), rawMessage(1));
    await clock.advance(30_000);
    expect(asked).toBe(2);
    await runner.releaseShard(0);
    await clock.advance(100_000);
    expect(asked).toBe(2);
  });
});
