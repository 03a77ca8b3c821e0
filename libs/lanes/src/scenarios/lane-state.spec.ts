import { describe, expect, it } from 'vitest';
import { MAX_NOTE_STATE_BYTES, MAX_RECORD_BYTES, MAX_STATE_BYTES } from '#contracts';
import {
  makeRunner,
  ManualClock,
  ManualTurns,
  MemoryRecords,
  MemoryStore,
  rawMessage,
  sessionKey,
  settled,
} from './lane-runner.fixture.js';

type Outcome = Parameters<ManualTurns['started'][number]['end']>[0];

function setUp(records = new MemoryRecords()) {
  const turns = new ManualTurns();
  const clock = new ManualClock();
  const runner = makeRunner({ store: new MemoryStore(records), turns, clock });
  const receive = async (seq: number, body?: object | string): Promise<void> => {
    runner.receive(sessionKey('a'), rawMessage(seq, body));
    await settled();
  };
  /** Runs a turn; answers the state that it began with. */
  const turn = async (seq: number, outcome: Outcome): Promise<unknown> => {
    await receive(seq);
    const active = turns.active.get('a');
    active?.end(outcome);
    await settled();
    return active?.state;
  };
  return { records, turns, clock, runner, receive, turn };
}

/** A state whose JSON has just so many bytes. */
const stateOf = (bytes: number): string => 'é'.repeat((bytes - 2) >> 1) + (bytes % 2 === 0 ? '' : 'x');

describe('state', () => {
  it('that a turn sets is what the next begins with, here and in the next process', async () => {
    const { turn, records } = setUp();
    expect(await turn(1, { state: { value: { n: 1 } } })).toBeUndefined();
    expect(await turn(2, {})).toEqual({ n: 1 });
    expect(await turn(3, { state: { value: undefined } })).toEqual({ n: 1 });
    expect(await turn(4, { state: { value: null } })).toBeUndefined();
    const next = setUp(records);
    expect(await next.turn(5, { state: { value: 0 } })).toBeNull();
    expect(await next.turn(6, {})).toBe(0);
  });

  it('stays as it was recorded, whatever the agent does to the value that it set', async () => {
    const { turn } = setUp();
    const value = { seen: [1], at: new Date(0) };
    await turn(1, { state: { value } });
    value.seen.push(2);
    expect(await turn(2, {})).toEqual({ seen: [1], at: '1970-01-01T00:00:00.000Z' });
  });

  it('of a failed turn is not kept', async () => {
    const { turn, receive, turns } = setUp();
    await turn(1, { state: { value: 'former' } });
    await receive(2);
    turns.active.get('a')?.fail('Boom');
    await settled();
    expect(await turn(3, {})).toBe('former');
  });

  it.each<[string, number, boolean]>([
    ['at most 32 KiB stands in a note', MAX_NOTE_STATE_BYTES, false],
    ['more than 32 KiB is referred to by a note', MAX_NOTE_STATE_BYTES + 1, true],
  ])('%s, and survives it', async (_title, bytes, isReference) => {
    const { turn, receive, records } = setUp();
    const value = stateOf(bytes);
    await turn(1, { state: { value } });
    await receive(2, 'broken');
    await receive(3, 'broken');
    const notes = records.of('a').slice(1);
    expect(notes.map(({ kind }) => kind)).toEqual(['note', 'note']);
    for (const note of notes) {
      expect('state' in note).toBe(!isReference);
      expect(note.stateSeq).toBe(isReference ? 1 : undefined);
    }
    expect((await setUp(records).turn(4, {})) === value).toBe(true);
    expect((await turn(5, {})) === value).toBe(true);
  });

  it('a note of a process that has read the reference keeps it', async () => {
    const { turn, receive, records } = setUp();
    const value = stateOf(MAX_NOTE_STATE_BYTES + 1);
    await turn(1, { state: { value } });
    await receive(2, 'broken');
    const next = setUp(records);
    await next.receive(3, 'broken');
    expect(records.of('a').at(-1)).toMatchObject({ kind: 'note', stateSeq: 1 });
    expect((await next.turn(4, {})) === value).toBe(true);
    expect(records.of('a').at(-1)?.stateSeq).toBeUndefined();
  });

  it('of 256 KiB is kept; a byte more fails the turn and keeps the former one', async () => {
    const { turn, records } = setUp();
    const largest = stateOf(MAX_STATE_BYTES);
    await turn(1, { state: { value: largest } });
    await turn(2, { state: { value: stateOf(MAX_STATE_BYTES + 1) }, replies: [{ kind: 'reply', text: 'x' }] });
    expect(records.of('a')).toMatchObject([
      { status: 'succeeded' },
      { status: 'failed', sends: [], error: { name: 'state_too_large' }, messages: [{ decision: 'dead' }] },
    ]);
    expect((await turn(3, {})) === largest).toBe(true);
  });
});

describe('record', () => {
  it('of more than 768 KiB fails its turn and keeps the former state', async () => {
    const { turn, records } = setUp();
    await turn(1, { state: { value: 'former' } });
    const text = 'x'.repeat(MAX_RECORD_BYTES - 1_000);
    await turn(2, { replies: [{ kind: 'reply', text }] });
    await turn(3, { replies: [{ kind: 'reply', text: text + 'x'.repeat(1_000) }], state: { value: 'later' } });
    expect(records.of('a').map((record) => record.kind === 'turn' && [record.status, record.error?.name])).toEqual([
      ['succeeded', undefined],
      ['succeeded', undefined],
      ['failed', 'record_too_large'],
    ]);
    expect(await turn(4, {})).toBe('former');
  });

  it('says when the turn began and ended, and which worker ran it', async () => {
    const { receive, turns, clock, records } = setUp();
    await receive(1);
    await clock.advance(30);
    turns.active.get('a')?.end();
    await settled();
    expect(records.of('a')).toMatchObject([{ startedAt: 1_000, endedAt: 1_030, worker: 'w/1', attempt: 1, run: null }]);
  });
});

describe('describe', () => {
  it('answers for a session that is unknown, running, waiting behind its turn, and idle again', async () => {
    const { runner, receive, clock, turns } = setUp();
    const answer = () => runner.describe(sessionKey('a'));
    const idle = { state: 'idle', depth: 0, oldestMs: null, worker: 'w/1' };
    expect(answer()).toEqual(idle);
    await receive(1);
    const { runId } = turns.active.get('a')?.batch ?? {};
    const running = { runId, attempt: 1, seqs: [1], startedAt: 1_000 };
    expect(answer()).toEqual({ ...idle, state: 'running', running });
    await receive(2);
    await receive(3);
    await clock.advance(50);
    // Message 2 was stored at 902.
    expect(answer()).toEqual({ state: 'running', depth: 2, oldestMs: 148, running, worker: 'w/1' });
    turns.active.get('a')?.end();
    await settled();
    turns.active.get('a')?.end();
    await settled();
    expect(answer()).toEqual(idle);
  });

  it('answers queued for a session that waits for a slot', async () => {
    const turns = new ManualTurns();
    const parts = { store: new MemoryStore(new MemoryRecords()), turns, clock: new ManualClock(), capacity: 1 };
    const runner = makeRunner(parts);
    for (const [i, session] of ['a', 'b'].entries()) runner.receive(sessionKey(session), rawMessage(i + 1));
    await settled();
    expect(runner.describe(sessionKey('b'))).toEqual({ state: 'queued', depth: 1, oldestMs: 98, worker: 'w/1' });
  });
});
