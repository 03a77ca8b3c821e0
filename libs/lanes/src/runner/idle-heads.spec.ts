import { describe, expect, it, vi } from 'vitest';
import { jsonText, type Head } from '#contracts';
import { HeadTable } from './head-table.js';
import { IdleHeads } from './idle-heads.js';
import { decisionsOf, setUpProcess, type ProcessOptions } from '../scenarios/lane-process.fixture.js';
import { afterCrash, MemoryRecords } from '../scenarios/lane-runner.fixture.js';
import { MEMORY_LIMITS } from './lane-runner-options.js';
import { ShardLanes, type LaneProgress } from './shard-lanes.js';
import { loaded } from '../lane/lane.fixture.js';
import { Lane } from '../lane/lane.js';

const EMPTY = { read: 4, tail: 0 };
const HOLD = { holder: 'w/0', since: 4 };

function heads(): IdleHeads {
  return new IdleHeads(new HeadTable(1_024));
}

function laneIn(home: ShardLanes, session = 'a', head = loaded()): Lane {
  const lane = new Lane(`main.${session}`, home);
  lane.open(head);
  return lane;
}

describe('of a forgotten lane', () => {
  it('the last record is remembered, and that everything is decided that was received of the shard', () => {
    const idle = heads();
    const home = new ShardLanes(0, EMPTY);
    idle.keep(laneIn(home, 'a', loaded({ upto: 3 }, 7)));
    // More than was received: a former owner decided it.
    idle.keep(laneIn(home, 'c', loaded({ upto: 5 }, 6)));
    idle.keep(laneIn(home, 'b', loaded({ upto: 4 }, 8)));
    home.sawUpTo(20);
    expect(idle.take(laneIn(home, 'a'), 21)).toEqual(loaded({ upto: 20 }, 7));
    // It is about to write records.
    expect(idle.take(laneIn(home, 'a'), 22)).toBeUndefined();
    expect(idle.take(laneIn(home, 'b'), 22)).toEqual(loaded({ upto: 20 }, 8));
    expect(idle.take(laneIn(home, 'c'), 22)).toBeUndefined();
  });

  const run = { runId: 'r', seqs: [9], attempt: 2, crashes: 0 };
  it.each<[string, Partial<Head>]>([
    ['a run that comes again', { run }],
    ['runs beside others', { runs: [run] }],
    ['a holder', { holder: 'w/0' }],
    ['a state', { state: jsonText({ count: 1 }) }],
    ['a state elsewhere', { stateSeq: 3 }],
    ['decisions above a gap', { done: [[9, 9]] }],
    ['the number that is due', { nextSequence: 4 }],
    ['a child', { children: { r1: null } }],
    ['a relay', { relayed: { s1: 4 } }],
    ['what a later version says', { later: 1 } as Partial<Head>],
  ])('nothing is remembered when its head has %s', (_title, head) => {
    const idle = heads();
    const home = new ShardLanes(0, EMPTY);
    idle.keep(laneIn(home, 'a', loaded({ upto: 3, ...head })));
    expect(idle.take(laneIn(home), 9)).toBeUndefined();
  });

  it('nothing is remembered when it has no record, or another process may write the next one', () => {
    const idle = heads();
    const home = new ShardLanes(0, EMPTY);
    const contested = laneIn(home, 'b');
    contested.isContested = true;
    const unfenced = laneIn(home, 'c');
    unfenced.unfenced = HOLD;
    for (const lane of [laneIn(home, 'a', loaded({}, 0)), contested, unfenced]) {
      idle.keep(lane);
      expect(idle.take(lane, 9)).toBeUndefined();
    }
    const lane = laneIn(home);
    home.state = 'releasing';
    idle.keep(lane);
    expect(idle.take(lane, 9)).toBeUndefined();
  });

  it('L4 nothing is remembered where a turn of an owner that is gone may have to be fenced', () => {
    const idle = heads();
    const home = new ShardLanes(0, { ...EMPTY, crash: { upTo: 10, tail: 20 } });
    for (const [firstSeq, isKnown] of [
      [10, false],
      [11, true],
    ] as const) {
      idle.keep(laneIn(home, 'a', loaded({ upto: 3 }, 30)));
      expect(idle.take(laneIn(home), firstSeq) !== undefined).toBe(isKnown);
    }
  });

  it('L1 nothing is remembered for a message that comes again: whether it is decided, its record says', () => {
    const idle = heads();
    const home = new ShardLanes(0, EMPTY);
    idle.keep(laneIn(home));
    home.sawUpTo(8);
    expect(idle.take(laneIn(home), 8)).toBeUndefined();
    // Nor the next time: the lane may have written since.
    expect(idle.take(laneIn(home), 9)).toBeUndefined();
  });

  it('L4 nothing is remembered when its shard is opened again, nor in another shard', () => {
    const idle = heads();
    const home = new ShardLanes(0, EMPTY);
    idle.keep(laneIn(home));
    expect(idle.take(laneIn(new ShardLanes(0, EMPTY)), 9)).toBeUndefined();
    expect(idle.take(laneIn(new ShardLanes(1, EMPTY)), 9)).toBeUndefined();
    expect(idle.take(laneIn(home), 9)).toBeDefined();
  });
});

/** A process that keeps no lane with nothing to do. */
function setUp(options: ProcessOptions = {}) {
  const it = setUpProcess({ memory: { ...MEMORY_LIMITS, idleLanes: 0 }, ...options });
  const read = vi.spyOn(it.store, 'loadHead');
  const handle = async (session: string, seq: number): Promise<void> => {
    await it.receive(session, seq);
    await it.end(session);
  };
  return { ...it, handle, readHeads: () => read.mock.calls.length };
}

const handled = (...seqs: number[]) => seqs.map((seq) => [seq, 'handled']);

describe('a session whose lane was forgotten', () => {
  it('goes on without a look at its record, and writes what it would have written', async () => {
    const { handle, readHeads, records, runner } = setUp();
    await handle('a', 1);
    await handle('b', 2);
    expect([readHeads(), runner.memory.lanes]).toEqual([2, 0]);
    for (const seq of [3, 4, 6]) await handle('a', seq);
    await handle('b', 7);
    expect(readHeads()).toBe(2);
    expect(decisionsOf(records.of('a'))).toEqual(handled(1, 3, 4, 6));
    expect(records.head('a').head).toEqual(loaded({ upto: 6 }).head);
    expect(runner.progress(0)).toMatchObject({ read: 7, open: [] });
  });

  it('gets all of several messages that come in one moment', async () => {
    const { handle, runner, receive, turns, end, records } = setUp();
    await handle('a', 1);
    void receive('a', 2);
    expect(runner.memory.lanes).toBe(1);
    await receive('a', 5);
    expect(turns.active.get('a')?.seqs).toEqual([2, 5]);
    await end('a');
    expect(decisionsOf(records.of('a'))).toEqual(handled(1, 2, 5));
  });

  it('is read again when its shard was away meanwhile', async () => {
    const { handle, runner, readHeads, records } = setUp();
    await handle('a', 1);
    const progress = await runner.releaseShard(0);
    const other = setUp({ records, from: progress, worker: 'w/2' });
    await other.handle('a', 2);
    runner.openShard(0, await other.runner.releaseShard(0));
    await handle('a', 3);
    expect([readHeads(), other.readHeads()]).toEqual([2, 1]);
    expect(records.of('a').map(({ worker }) => worker)).toEqual(['w/1', 'w/2', 'w/1']);
    expect(decisionsOf(records.of('a'))).toEqual(handled(1, 2, 3));
  });

  it('L4 is read again, with what was said of its turns, as long as an owner that is gone may have begun some', async () => {
    const records = new MemoryRecords();
    const former = setUp({ records });
    await former.handle('a', 1);
    const from: LaneProgress = { ...afterCrash(records, 3), read: 1 };
    const { receive, turn, end, handle, store, readHeads } = setUp({ records, from, worker: 'w/2' });
    const cut = vi.spyOn(store, 'loadCutTurn');
    for (const seq of [2, 3]) {
      await receive('a', seq);
      expect(turn('a').batch).toMatchObject({ attempt: 2, crashes: 1 });
      await end('a');
    }
    await handle('a', 4);
    expect([readHeads(), cut.mock.calls.length]).toEqual([2, 2]);
  });
});

/** Answers with what it is given. */
class WrongTable extends HeadTable {
  answer: number | undefined;

  constructor() {
    super(1_024);
  }

  override take(name: string): number | undefined {
    const { answer } = this;
    this.answer = undefined;
    return answer ?? super.take(name);
  }
}

describe('a wrong entry', () => {
  it('L1 L4 that is older than the last record: its result is not written over it, and the session goes on from it', async () => {
    const a = setUp({ worker: 'w/1' });
    await a.handle('a', 1);
    // It has lost the shard, and does not know it yet.
    const b = setUp({ records: a.records, worker: 'w/2', from: { read: 1, tail: 1, open: [] } });
    await b.receive('a', 2);
    b.turn('a').end({ state: { value: 'of 2' } });
    await b.receive('a', 2);
    await a.receive('a', 2);
    a.turn('a').end({ state: { value: 'wrong' }, replies: [{ kind: 'reply', text: 'wrong' }] });
    await a.receive('a', 3);
    expect([a.readHeads(), a.runner.discarded]).toEqual([1, 1]);
    expect(a.turn('a')).toMatchObject({ seqs: [3], state: 'of 2' });
    await a.end('a');
    expect(decisionsOf(a.records.of('a'))).toEqual(handled(1, 2, 3));
    expect(a.records.of('a').map(({ worker }) => worker)).toEqual(['w/1', 'w/2', 'w/1']);
    expect(JSON.stringify(a.records.of('a'))).not.toContain('wrong');
    expect(a.records.head('a').head).toMatchObject({ upto: 3, state: jsonText('of 2') });
  });

  it.each([
    ['of another session', 2],
    ['that no record has', 999],
  ])('L1 L3 %s: each message is decided once, with the state of its own session', async (_title, seq) => {
    const table = new WrongTable();
    const { handle, receive, turn, end, records, runner } = setUp({ heads: new IdleHeads(table) });
    await receive('a', 1);
    turn('a').end({ state: { value: { count: 1 } } });
    await receive('b', 2);
    await end('b');
    table.answer = seq;
    await receive('a', 3);
    // It runs without its state, and to no effect.
    turn('a').end({ state: { value: 'wrong' } });
    await receive('a', 4);
    expect(runner.discarded).toBe(1);
    expect(turn('a')).toMatchObject({ seqs: [3, 4], state: { count: 1 } });
    await end('a');
    await handle('a', 5);
    expect(decisionsOf(records.of('a'))).toEqual(handled(1, 3, 4, 5));
    expect(records.head('a').head).toMatchObject({ upto: 5, state: jsonText({ count: 1 }) });
  });

  it('L3 of a session that has no record: its first message is decided', async () => {
    const table = new WrongTable();
    const { handle, receive, end, records } = setUp({ heads: new IdleHeads(table) });
    await handle('b', 1);
    table.answer = 1;
    await receive('a', 2);
    await end('a');
    await end('a');
    expect(decisionsOf(records.of('a'))).toEqual(handled(2));
  });
});
