import { describe, expect, it } from 'vitest';
import { jsonText, type Decision, type MessageDecision, type NoteReply, type Outcome } from '#contracts';
import { readDecision } from './decided-message.js';
import { describeDecision } from './send-answer.js';
import type { StoredRecord } from '../sessions/session-history.client.js';

const sends = [
  { kind: 'reply' as const, text: 'one' },
  { kind: 'reply' as const, data: { a: 1 } },
];
const replies = [{ text: 'one' }, { data: { a: 1 } }];

function stored(record: object): StoredRecord {
  return { recordSeq: 1, storedAtMs: 1, record } as unknown as StoredRecord;
}

const turn = (messages: MessageDecision[], status: Outcome = 'succeeded', more: object = {}): StoredRecord =>
  stored({ kind: 'turn', runId: 'run', attempt: 1, status, sends, messages, ...more });
const note = (messages: MessageDecision[], told?: NoteReply[]): StoredRecord =>
  stored({ kind: 'note', messages, ...(told === undefined ? {} : { sends: told }) });
const message = (seq: number, decision: Decision, reason?: string): MessageDecision => ({
  ...{ id: `m${seq}`, seq, decision },
  ...(reason === undefined ? {} : { reason }),
});
const answerOf = (record: StoredRecord, seq: number, isAllAsked = false) =>
  describeDecision(readDecision(record, { seq }), isAllAsked);

describe('a message that a turn took', () => {
  it.each<Decision>(['handled', 'steered', 'skipped', 'superseded'])(
    'and that is %s is told with which message its turn answers, and what it says only when it asks',
    (decision) => {
      const record = turn([message(1, decision), message(2, 'handled')]);
      const told = { decision, status: 'succeeded', runId: 'run', answeredWith: 'm2' };
      expect(answerOf(record, 1)).toEqual({ ...told, replies: [] });
      expect(answerOf(record, 1, true)).toEqual({ ...told, replies });
      expect(answerOf(record, 2)).toEqual({ decision: 'handled', status: 'succeeded', runId: 'run', replies });
    },
  );

  it('is answered by itself when only what the turn did not take comes behind it', () => {
    const record = turn([message(1, 'handled'), message(2, 'dropped')]);
    expect(answerOf(record, 1)).toEqual({ decision: 'handled', status: 'succeeded', runId: 'run', replies });
  });

  it('is answered although its agent ended a later one dead, whose sender is told of no success', () => {
    const record = turn([message(1, 'handled'), message(2, 'handled'), message(3, 'dead', 'x')]);
    expect(answerOf(record, 1)).toMatchObject({ answeredWith: 'm2', replies: [] });
    expect(answerOf(record, 2)).toEqual({ decision: 'handled', status: 'succeeded', runId: 'run', replies });
    expect(answerOf(record, 3)).toMatchObject({ decision: 'dead', reason: 'x', answeredWith: 'm2', replies: [] });
  });

  it('is told why the turn failed', () => {
    const error = { name: 'Error', message: 'no' };
    const record = turn([message(1, 'dead', 'Error')], 'failed', { error, sends: [] });
    const expected = { decision: 'dead', status: 'failed', reason: 'Error', runId: 'run', error, replies: [] };
    expect(answerOf(record, 1)).toEqual(expected);
  });

  it.each<Decision>(['cancelled', 'interrupted'])('and that is %s says so of the turn', (decision) => {
    const record = turn([message(1, decision)], decision as Outcome, { sends: [] });
    expect(answerOf(record, 1)).toEqual({ decision, status: decision, runId: 'run', replies: [] });
  });

  it.each<Decision>(['dropped', 'expired', 'refused', 'rejected', 'duplicate'])(
    'is not one that its record decides as %s: no reply of the turn is for it',
    (decision) => {
      const record = turn([message(1, decision), message(2, 'handled')]);
      expect(answerOf(record, 1)).toEqual({ decision, status: decision, replies: [] });
    },
  );
});

describe('a message that a note decides', () => {
  it('has its decision as status, and is told what the note sends for it alone', () => {
    const told: NoteReply[] = [
      { kind: 'reply', seq: 1, text: 'for one', thread: 't' },
      { kind: 'reply', seq: 2, text: 'busy', data: jsonText({ after: 5 }), replyTo: 'https://a.b/' },
      { kind: 'reply', seq: 2, data: jsonText(null) },
    ];
    const record = note([message(1, 'expired'), message(2, 'dropped', 'queue-full')], told);
    expect(answerOf(record, 2)).toEqual({
      ...{ decision: 'dropped', status: 'dropped', reason: 'queue-full' },
      replies: [{ text: 'busy', data: jsonText({ after: 5 }) }, { data: jsonText(null) }],
    });
    expect(answerOf(record, 1)).toEqual({ decision: 'expired', status: 'expired', replies: [{ text: 'for one' }] });
  });

  it('is told nothing when the note sends nothing', () => {
    const nothing = { decision: 'rejected', status: 'rejected', reason: 'no JSON', replies: [] };
    expect(answerOf(note([message(3, 'rejected', 'no JSON')]), 3)).toEqual(nothing);
  });
});
