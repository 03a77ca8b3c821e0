import { describe, expect, it } from 'vitest';
import {
  MAX_RECORD_BYTES,
  MAX_STATE_BYTES,
  Names,
  QUEUE_DEFAULTS,
  systemClock,
  type HeldTask,
  type SessionTokens,
  emptyHead,
  MAX_DONE_RANGES,
  laneId,
} from '#contracts';
import { silentLogger } from '#telemetry';
import { Lane } from '../lane/lane.js';
import { cancelOrder, setUpProcess } from '../scenarios/lane-process.fixture.js';
import {
  makeRunner,
  ManualClock,
  ManualTurns,
  MemoryRecords,
  MemoryStore,
  POLICY,
  rawMessage,
  sessionKey,
  settled,
  UNBOUNDED,
} from '../scenarios/lane-runner.fixture.js';
import { RecordWriter } from '../records/record-writer.js';
import { HOME, item, loaded, openLane } from '../lane/lane.fixture.js';
import { errorWithinRecord, heldWithinRecord, maxRunsInRecord, withinRecord } from './record-bounds.js';

/** As long as the names of a session and of a task may be. */
const LONGEST_SESSION = '\u{1F600}'.repeat(128);
const longestTasks = (count: number): HeldTask[] =>
  Array.from({ length: count }, (_, i) => ({
    key: `main/${'s'.repeat(512)}::${'t'.repeat(120)}${i}`,
    token: 1_000_000 + i,
  }));

/** Runs that hold on to as many tasks as are given to all of them. */
class HoldingTurns extends ManualTurns {
  held: readonly HeldTask[] = [];
  readonly tasks = {
    taskOf: () => undefined,
    ending: () => undefined,
    heldTasks: () => this.held,
    attemptOver: () => {},
  };
}

/** Fails like a broker whose connection does not take some of the records. */
function setUpUnsendable(isUnsendable: (body: string) => boolean) {
  const process = setUpProcess({ capacity: 1 });
  const write = process.store.write.bind(process.store);
  process.store.write = (key, body, ...rest) =>
    isUnsendable(body)
      ? Promise.resolve({ kind: 'unsendable' as const, description: 'Maximum Payload Violation' })
      : write(key, body, ...rest);
  return process;
}

const isRetry = (body: string): boolean => (JSON.parse(body) as { run: unknown }).run !== null;

describe('a run that holds more tasks than its note can name', () => {
  it('L6 is tried again all the same, and the note names the first of them', async () => {
    const records = new MemoryRecords();
    const turns = new HoldingTurns();
    turns.policy = { ...POLICY, maxAttempts: 2 };
    turns.held = longestTasks(1_500);
    const clock = new ManualClock();
    const runner = makeRunner({ store: new MemoryStore(records), turns, clock });
    runner.receive(sessionKey('a'), rawMessage(1));
    await settled();
    turns.started[0]?.fail('Boom');
    await clock.advance(1_000);
    expect(turns.started.map(({ batch }) => batch.attempt)).toEqual([1, 2]);
    const named = records.head('a').head.run?.tasks ?? [];
    expect(named).toEqual(turns.held.slice(0, named.length));
    expect(named.length).toBeGreaterThan(20);
  });

  it('shares the room with the other runs of its session', () => {
    const [one, two] = [longestTasks(40), longestTasks(40)];
    const run = { runId: 'one', seqs: [1], attempt: 2, crashes: 0, tasks: one };
    const alone = heldWithinRecord(two, emptyHead(), 'two').length;
    expect(heldWithinRecord(two, { ...emptyHead(), run }, 'two').length).toBeLessThan(alone - 20);
    expect(heldWithinRecord(two, { ...emptyHead(), runs: [run] }, 'one').length).toBe(alone);
  });
});

describe('what a note says of the last error of its run', () => {
  const error = { name: 'agent_failed', message: 'm'.repeat(2_000), status: 500, excerpt: '\u{1F600}'.repeat(250) };

  it('is shortened, and stays well-formed', () => {
    const said = errorWithinRecord(error, emptyHead(), 'one');
    expect(said).toMatchObject({ name: 'agent_failed', status: 500, message: 'm'.repeat(400) });
    expect(said?.excerpt?.isWellFormed()).toBe(true);
  });

  it('L6 is nothing where other runs have taken the room', () => {
    const runs = Array.from({ length: 20 }, (_, i) => ({
      ...{ runId: `r${i}`, seqs: [i], attempt: 2, crashes: 0 },
      error: { name: 'n'.repeat(100), message: 'm'.repeat(400) },
    }));
    expect(errorWithinRecord(error, { ...emptyHead(), runs }, 'one')).toBeUndefined();
    expect(errorWithinRecord(error, { ...emptyHead(), runs: runs.slice(0, 2) }, 'one')).toBeDefined();
  });
});

describe('what no connection takes', () => {
  it('L6 ends the turn as dead instead of being tried for ever, and frees its slot', async () => {
    const { receive, fail, records, turns, runner } = setUpUnsendable(isRetry);
    await receive('a', 1);
    await fail('a');
    await settled();
    expect(records.of('a')).toMatchObject([
      {
        kind: 'turn',
        status: 'failed',
        error: { name: 'record_unsendable' },
        messages: [{ seq: 1, decision: 'dead' }],
        run: null,
      },
    ]);
    expect(records.buried.map(({ letter }) => letter.seq)).toEqual([1]);
    await receive('b', 2);
    expect([turns.active.has('b'), runner.running]).toEqual([true, 1]);
    await receive('a', 3);
  });

  it('L6 stops its session alone when not even that can be written', async () => {
    const { receive, end, turns, runner } = setUpUnsendable((body) => !body.includes('"seq":2'));
    await receive('a', 1);
    await end('a');
    await settled();
    await receive('b', 2);
    expect([turns.active.has('b'), runner.running]).toEqual([true, 1]);
    await end('b');
    await receive('a', 3);
    expect(turns.active.has('a')).toBe(false);
  });

  it('L6 stops the session alone whose note it is', async () => {
    const { receive, turns, records } = setUpUnsendable((body) => body.includes('rejected'));
    await receive('a', 1, 'rubbish');
    await receive('b', 2);
    expect([turns.active.has('b'), records.of('a')]).toEqual([true, []]);
  });
});

it('a note of more than fits decides the first of it, and the rest is asked for again', async () => {
  const records = new MemoryRecords();
  const options = { worker: 'w/1', newCommitId: () => 'c', clock: systemClock, log: silentLogger };
  const writer = new RecordWriter({ ...options, store: new MemoryStore(records), onRecord: () => {} });
  const items = Array.from({ length: 400 }, (_, i) => item(i + 1));
  // What a later version may leave in a head.
  const lane = openLane(items, loaded({ children: { child: 'x'.repeat(MAX_RECORD_BYTES - 200_000) } }, 0));
  let notes = 0;
  for (let left = items; left.length > 0; left = left.filter(({ seq }) => seq > lane.head.upto)) {
    const messages = left.map(({ seq }) => ({ id: 'i'.repeat(768), seq, decision: 'cancelled' as const }));
    expect(await writer.note(lane, messages)).toBe('won');
    notes++;
  }
  expect([lane.head.upto, notes > 1 && notes < 10]).toEqual([400, true]);
});

it('a batch is as large as one record can decide, with the longest ids and with short ones', () => {
  const items = Array.from({ length: 600 }, (_, i) => item(i + 1));
  expect(withinRecord(items, 500).length).toBe(500);
  expect(
    withinRecord(
      items.map((each) => ({ ...each, id: '3f2b8c1e-7d7a-4a65-9d0c-2f2f4bd0a001' })),
      500,
    ).length,
  ).toBe(500);
  const longest = items.map((each) => ({ ...each, id: '\u20AC'.repeat(256) }));
  expect(Buffer.byteLength(JSON.stringify(withinRecord(longest, 500).map(({ id }) => id)))).toBeLessThan(256 * 1_024);
  expect(withinRecord([{ ...item(1), id: 'x'.repeat(1_000_000) }], 500).length).toBe(1);
});

it('the holes of a cursor at their bound have their room', () => {
  const done = Array.from({ length: MAX_DONE_RANGES }, (_, i) => [8e15 + 2 * i, 8e15 + 2 * i]);
  expect(Buffer.byteLength(JSON.stringify(done))).toBeLessThanOrEqual(36 * 1_024 + 1);
});

it('behind a crash no more runs of a session with a long name come again at once than a record can name', () => {
  const lane = new Lane(laneId(new Names('lk', 1).sessionTokens('main', LONGEST_SESSION)), HOME);
  lane.open(loaded());
  lane.assumeCrash(undefined, 300, 1_000);
  const queueing = { ...QUEUE_DEFAULTS, strategy: 'concurrent' as const };
  for (let seq = 1; seq <= 300; seq++) lane.arrive({ ...item(seq), queueing }, 0);
  lane.concurrent.freezeBegun();
  expect(lane.concurrent.unrecorded.length).toBe(maxRunsInRecord(lane.id));
  expect(lane.concurrent.roomFor(queueing)).toBe(0);
});

it('L6 the most that a session may have fits: a large state, hundreds of failed runs with tasks, and a cancel of all of it', async () => {
  const records = new MemoryRecords();
  const turns = new HoldingTurns();
  turns.held = longestTasks(3);
  turns.policy = { ...POLICY, maxAttempts: 2 };
  turns.queueing = { ...UNBOUNDED, strategy: 'concurrent', onQueueFull: 'summarize', maxQueueSize: 1 };
  const clock = new ManualClock();
  let largest = 0;
  const write = records.write.bind(records);
  records.write = (session, body, ...rest) => {
    largest = Math.max(largest, Buffer.byteLength(body));
    return write(session, body, ...rest);
  };
  const runner = makeRunner({ store: new MemoryStore(records), turns, clock, capacity: 1_000 });
  const key: SessionTokens = new Names('lk', 1).sessionTokens('main', LONGEST_SESSION);
  let seq = 1_000_000_000;
  const send = (body: object = {}): void =>
    runner.receive(key, rawMessage(++seq, { id: `${'\u20AC'.repeat(240)}${seq}`, ...body }));
  send({ strategy: 'queue' });
  await settled();
  turns.started[0]?.end({ state: { value: 'x'.repeat(MAX_STATE_BYTES - 2) } });
  for (let i = 0; i < 2_000; i++) send();
  await settled();
  for (let round = 0; round < 400 && turns.of(key.sessionToken).length > 0; round++) {
    for (const turn of turns.of(key.sessionToken)) turn.fail('n'.repeat(100));
    await settled();
  }
  const again = records.head(key.sessionToken).head.runs?.length ?? 0;
  expect(again).toBeGreaterThan(50);
  send(cancelOrder({ what: 'session' }));
  for (let i = 0; i < 200; i++) await settled();
  expect(records.head(key.sessionToken).head).toMatchObject({ upto: seq, done: [], run: null });
  expect(largest).toBeLessThanOrEqual(MAX_RECORD_BYTES);
  expect(largest).toBeGreaterThan(100_000);
}, 60_000);
