import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isDecided, keyOfLane, laneId } from '#contracts';
import { cancelOrder, setUpProcess } from '../scenarios/lane-process.fixture.js';
import { sessionKey, settled } from '../scenarios/lane-runner.fixture.js';
import { ShardLanes } from './shard-lanes.js';
import { HOME, item, loaded } from '../lane/lane.fixture.js';
import { Lane } from '../lane/lane.js';

const EMPTY = { read: 0, tail: 0 };

describe('a shard', () => {
  it('goes on from what it was handed over, and never back', () => {
    const home = new ShardLanes(3, { read: 40, tail: 9 });
    expect([home.shard, home.progress()]).toEqual([3, { read: 40, tail: 9, open: [] }]);
    home.sawUpTo(39);
    home.sawRecord(8);
    expect(home.progress()).toEqual({ read: 40, tail: 9, open: [] });
    home.sawUpTo(41);
    home.sawRecord(10);
    expect(home.progress()).toEqual({ read: 41, tail: 10, open: [] });
  });

  it('has as open what is not decided, as long as it is not; a lane that got something again is open again', () => {
    const home = new ShardLanes(0, EMPTY);
    const lane = new Lane('main.a', HOME);
    home.add(lane);
    lane.open(loaded({}, 1));
    expect(home.open).toEqual([]);
    expect([...home.maybeOpen]).toEqual([lane]);
    home.forgetDecided();
    expect([...home.maybeOpen]).toEqual([]);
    lane.arrive(item(2), 0);
    expect(home.open).toEqual([]);
    home.touch(lane);
    expect(home.open).toEqual([lane]);
    lane.wrote(loaded({ upto: 2 }, 5));
    expect([home.open, home.find('main.a'), [...home.all]]).toEqual([[], lane, [lane]]);
  });

  it('has a lane in handoff as open also when nothing of it is known, and always names its former owner', () => {
    const home = new ShardLanes(0, { read: 7, tail: 0 });
    const lane = new Lane('main.a', HOME);
    home.add(lane);
    lane.handoff = { holder: 'w/0', since: 4 };
    const open = [{ session: 'main.a', from: 7, holder: 'w/0', since: 4 }];
    expect([home.progress().open, home.progress('w/1').open]).toEqual([open, open]);
    expect(home.busy).toEqual([]);
  });

  it('names this process as the holder of what runs only when it is asked to', () => {
    const home = new ShardLanes(0, EMPTY);
    const lane = new Lane('main.a', HOME);
    home.add(lane);
    lane.open(loaded({}, 4));
    lane.arrive(item(2), 0);
    lane.serial.take(0);
    expect(home.progress().open).toEqual([{ session: 'main.a', from: 2 }]);
    expect(home.progress('w/1').open).toEqual([{ session: 'main.a', from: 2, holder: 'w/1', since: 4 }]);
    expect(home.busy).toEqual([lane]);
  });

  it('passes a crash on until all that the dead owner may have begun with was read and decided (L4)', () => {
    const crash = { upTo: 7, tail: 3 };
    const home = new ShardLanes(0, { ...EMPTY, crash });
    // Given away before anything was read: the next owner has to know all the same.
    expect(home.progress()).toEqual({ read: 0, tail: 0, open: [], crash });
    home.sawUpTo(6);
    expect(home.progress().crash).toEqual(crash);
    const lane = new Lane('main.a', HOME);
    home.add(lane);
    lane.open(loaded({}, 1));
    lane.arrive(item(7), 0);
    home.sawUpTo(9);
    expect(home.progress().crash).toEqual(crash);
    lane.wrote(loaded({ upto: 7 }, 5));
    expect(home.progress().crash).toBeUndefined();
  });

  it('names a session so that its tokens come back', () => {
    const key = { shard: 5, agentToken: 'main', sessionToken: 'telegram=3A=2D100=2E42' };
    expect(keyOfLane(laneId(key), 5)).toEqual(key);
  });
});

describe('progress', () => {
  it('is read to what was received, or is known to be nothing', async () => {
    const { runner, receive, end } = setUpProcess();
    await receive('a', 4);
    expect(runner.progress(0)).toEqual({ read: 4, tail: 0, open: [{ session: 'main.a', from: 4 }] });
    runner.sawNothingUpTo(0, 9);
    await end('a');
    expect(runner.progress(0)).toEqual({ read: 9, tail: 1, open: [] });
    // What is received twice, or is decided, is read all the same.
    await receive('a', 4);
    runner.sawNothingUpTo(0, 5);
    expect(runner.progress(0)?.read).toBe(9);
    expect(runner.progress(1)).toBeUndefined();
  });

  it('has in its tail the records of others that stand in the way of ours', async () => {
    const { runner, receive, end, records } = setUpProcess();
    await receive('a', 1);
    for (let i = 0; i < 3; i++) {
      const { head, seq } = records.head('a');
      const note = { v: 1, kind: 'note', commitId: 'x', worker: 'w/2', ...head, messages: [] };
      records.write('a', JSON.stringify(note), seq);
    }
    await end('a');
    expect(runner.progress(0)).toMatchObject({ tail: 3 });
  });

  it('has in its tail the heads that were read, also those of other workers', async () => {
    const first = setUpProcess();
    const { records, clock } = first;
    await first.receive('a', 1);
    await first.end('a');
    await first.receive('b', 2);
    await first.end('b');
    const second = setUpProcess({ records, clock, from: { read: 2, tail: 0, open: [] } });
    await second.receive('a', 3);
    expect(second.runner.progress(0)?.tail).toBe(1);
    await second.receive('b', 4);
    expect(second.runner.progress(0)?.tail).toBe(2);
  });

  it('L4 tells of a crash as long as something that may have been begun before it is undecided', async () => {
    const crash = { upTo: 2, tail: 7 };
    const { runner, receive, end } = setUpProcess({ from: { read: 0, tail: 7, open: [], crash } });
    for (const [i, session] of ['a', 'b', 'c'].entries()) await receive(session, i + 1);
    expect(runner.progress(0)?.crash).toEqual(crash);
    await end('b');
    expect(runner.progress(0)?.crash).toEqual(crash);
    await end('a');
    expect(runner.progress(0)).toEqual({ read: 3, tail: 7, open: [{ session: 'main.c', from: 3 }] });
    expect(runner.progress(0)).not.toHaveProperty('crash');
  });

  it('L3 keeps an open lane open, from where it was, until what it had was received', async () => {
    const { runner, receive, end, clock } = setUpProcess({
      from: {
        read: 20,
        tail: 8,
        open: [
          { session: 'main.a', from: 3 },
          { session: 'main.b', from: 5 },
        ],
      },
    });
    await settled();
    const open = (session: string) => runner.progress(0)?.open.find((each) => each.session === `main.${session}`);
    expect(runner.progress(0)).toEqual({
      ...{ read: 20, tail: 8 },
      open: [
        { session: 'main.a', from: 3 },
        { session: 'main.b', from: 5 },
      ],
    });
    await receive('a', 4);
    await end('a');
    expect([open('a')?.from, runner.progress(0)?.read]).toEqual([3, 20]);
    runner.receivedOpen(sessionKey('a'));
    expect(open('a')).toBeUndefined();
    await receive('b', 6);
    runner.receivedOpen(sessionKey('b'));
    expect(open('b')?.from).toBe(6);
    runner.receivedOpen(sessionKey('unknown'));
    await clock.advance(10);
    expect(runner.progress(0)?.open.length).toBe(1);
  });
});

const SESSIONS = ['a', 'b', 'c'];
const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant('receive' as const), session: fc.constantFrom(...SESSIONS) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('skip' as const), session: fc.constant('') }) },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constantFrom('end' as const, 'fail' as const, 'broken' as const, 'cancel' as const, 'other' as const),
        session: fc.constantFrom(...SESSIONS),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constantFrom('shut' as const, 'open' as const), session: fc.constant('') }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), session: fc.constant('') }) },
  ),
  { minLength: 1, maxLength: 60 },
);
type Step = typeof steps extends fc.Arbitrary<(infer T)[]> ? T : never;

/** Runs the steps; `check` is called behind each, with what was received so far, by sequence. */
async function play(plan: readonly Step[], capacity: number, check: (state: State) => void): Promise<void> {
  const process = setUpProcess({ capacity });
  const inbox = new Map<number, string>();
  let last = 0;
  const wayShut = (): boolean => process.closed.size > 0;
  for (const { do: what, session } of plan) {
    if (what === 'receive' || what === 'broken' || what === 'cancel' || what === 'other') {
      inbox.set(++last, session);
      const one = { what: 'message', seq: Math.max(1, last - 3) } as const;
      const target = what === 'cancel' ? ({ what: 'session' } as const) : one;
      await process.receive(
        session,
        last,
        { receive: {}, broken: 'x', cancel: cancelOrder(target), other: cancelOrder(target) }[what],
      );
    } else if (what === 'skip') process.runner.sawNothingUpTo(0, ++last);
    else if (what === 'shut') process.closed.add(inbox.size % 2 === 0 ? 'ack' : 'write');
    else if (what === 'open') await process.open();
    else if (what === 'wait') await process.clock.advance(1_500);
    else if (process.turns.active.has(session)) await process[what](session);
    check({ process, inbox, last, isExact: !wayShut() });
  }
  await process.open();
  check({ process, inbox, last, isExact: true });
}

interface State {
  readonly process: ReturnType<typeof setUpProcess>;
  readonly inbox: ReadonlyMap<number, string>;
  readonly last: number;
  /** Nothing is on its way. */
  readonly isExact: boolean;
}

function checkProgress({ process: { runner, records }, inbox, last, isExact }: State): void {
  const { read = -1, tail = -1, open = [] } = runner.progress(0) ?? {};
  const from = new Map(open.map((lane) => [lane.session.slice('main.'.length), lane.from]));
  const lowest = new Map<string, number>();
  for (const [seq, session] of [...inbox].toReversed()) {
    if (!isDecided(records.head(session).head, seq)) lowest.set(session, seq);
  }
  expect(read).toBe(last);
  // Claims nothing as decided that is not; and when nothing is on its way, nothing as open that is decided.
  for (const [session, seq] of lowest) expect(from.get(session)).toBeLessThanOrEqual(seq);
  const highest = Math.max(...SESSIONS.map((session) => records.head(session).seq));
  expect(tail).toBeLessThanOrEqual(highest);
  if (!isExact) return;
  expect(Object.fromEntries(from)).toEqual(Object.fromEntries(lowest));
  expect(tail).toBe(highest);
}

it('L3 progress never claims decided what is not, and is exact as soon as nothing is on its way', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 3 }), async (plan, capacity) => {
      await play(plan, capacity, checkProgress);
    }),
    { numRuns: 500 },
  );
}, 60_000);
