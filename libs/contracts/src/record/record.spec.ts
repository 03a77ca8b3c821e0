import { describe, expect, it } from 'vitest';
import { DECISIONS, OUTCOMES } from './decisions.js';
import { jsonText, writeJsonObject } from '../json/json-text.js';
import { parseRecord, type NoteRecord, type TurnRecord } from './record.js';

const note: NoteRecord = {
  v: 1,
  kind: 'note',
  commitId: 'c1',
  worker: 'w/1',
  upto: 12,
  done: [
    [14, 14],
    [16, 20],
  ],
  run: { runId: 'r', seqs: [13, 15], attempt: 2, crashes: 1, notBefore: 1_000, laterSince: 900 },
  stateSeq: 9,
  nextSequence: 4,
  children: { child: { at: 1 } },
  relayed: { 'main.a': 3 },
  messages: [{ id: 'm', seq: 14, decision: 'rejected', reason: 'why' }],
};

const turn: TurnRecord = {
  v: 1,
  kind: 'turn',
  commitId: 'c2',
  worker: 'w/1',
  upto: 20,
  done: [],
  run: null,
  state: jsonText({ seen: ['a', null, 1.5, true], deep: {} }),
  nextSequence: null,
  children: {},
  relayed: {},
  messages: [
    { id: 'a', seq: 13, decision: 'handled' },
    { id: 'b', seq: 15, decision: 'handled' },
  ],
  runId: 'r',
  attempt: 2,
  status: 'succeeded',
  sends: [
    { kind: 'reply', text: '' },
    { kind: 'reply', data: jsonText([1, { a: null }]) },
  ],
  usage: { input: 12 },
  startedAt: 5,
  endedAt: 7,
};

const { usage: _usage, state: _state, ...lean } = turn;

describe('parseRecord', () => {
  it.each<[string, NoteRecord | TurnRecord]>([
    ['a note', note],
    ['a note that decides nothing', { ...note, messages: [], run: null }],
    ['a turn', turn],
    ['a turn without state', lean],
    ['a turn whose state is null', { ...turn, state: jsonText(null) }],
    ['a failed turn', { ...lean, status: 'failed', sends: [], error: { name: 'Error', message: 'no' } }],
    ...DECISIONS.map((decision): [string, NoteRecord] => [
      `decision ${decision}`,
      { ...note, messages: [{ id: 'm', seq: 14, decision }] },
    ]),
    ...OUTCOMES.map((status): [string, TurnRecord] => [`outcome ${status}`, { ...turn, status }]),
  ])('reads back %s', (_title, record) => {
    const parsed = parseRecord(writeJsonObject(record));
    expect(parsed).toEqual({ ok: true, record });
    // `undefined` and absent are the same to toEqual, but they distinguish "no state" from "state elsewhere".
    if (parsed.ok) expect(Object.keys(parsed.record).toSorted()).toEqual(Object.keys(record).toSorted());
  });

  it('reads back a state unchanged, with any keys and depth', () => {
    const deep = '['.repeat(2_500) + ']'.repeat(2_500);
    const text = JSON.stringify(turn).replace('"deep":{}', `"__proto__":{"a":1},"deep":${deep}`);
    const parsed = parseRecord(text);
    if (!parsed.ok) throw new Error(parsed.problem);
    expect(parsed.record.state?.text).toContain(`"__proto__":{"a":1},"deep":${deep}`);
  });

  it.each<[string, unknown, string]>([
    ['another version', { ...turn, v: 2 }, 'v'],
    ['an unknown kind', { ...turn, kind: 'draft' }, 'kind'],
    ['no kind', { ...turn, kind: undefined }, 'kind'],
    ['no head', { v: 1, kind: 'note', commitId: 'c', worker: 'w', messages: [] }, 'upto'],
    ['a negative cursor', { ...note, upto: -1 }, 'upto'],
    ['a range of one number', { ...note, done: [[1]] }, 'done.0'],
    ['an empty run', { ...note, run: { ...note.run, seqs: [] } }, 'run.seqs'],
    ['a run put off since no time', { ...note, run: { ...note.run, laterSince: 'noon' } }, 'run.laterSince'],
    ['attempt 0', { ...turn, attempt: 0 }, 'attempt'],
    ['an unknown decision', { ...note, messages: [{ id: 'm', seq: 1, decision: 'lost' }] }, 'messages.0.decision'],
    ['an unknown outcome', { ...turn, status: 'done' }, 'status'],
    ['a reply without kind', { ...turn, sends: [{ text: 'x' }] }, 'sends.0.kind'],
    ['a reply whose text is none', { ...turn, sends: [{ kind: 'reply', text: null }] }, 'sends.0.text'],
    ['an error without message', { ...turn, error: { name: 'x' } }, 'error.message'],
    ['no time', { ...turn, endedAt: undefined }, 'endedAt'],
    ['an array', [], 'shape'],
    ['a number', 5, 'shape'],
  ])('names what is wrong: %s', (_title, record, field) => {
    const parsed = parseRecord(JSON.stringify(record));
    expect(parsed).toMatchObject({ ok: false, problem: expect.stringMatching(`^${field}: .`) });
  });

  it.each(['', '{', '{"v":1', 'undefined'])('broken JSON is a problem, not a throw: %j', (text) => {
    expect(parseRecord(text)).toEqual({ ok: false, problem: 'it is no JSON' });
  });
});
