import { describe, expect, it } from 'vitest';
import { jsonText } from '#contracts';
import { applyAnswer } from './handler-answer.js';
import type { TurnMessage } from './turn-message.js';
import { Turn } from './turn.js';

const messages: readonly TurnMessage[] = [
  { id: 'a', seq: 3 },
  { id: 'b', seq: 5 },
  { id: 'b', seq: 8 },
];

function answer(given: object): ReturnType<Turn['finish']> {
  const { signal } = new AbortController();
  const tokens = { agentToken: 'main', sessionToken: 's' };
  const turn = new Turn({
    runId: 'r',
    attempt: 1,
    ...tokens,
    messages,
    state: jsonText(1),
    deadline: 5,
    signal,
    trace: undefined,
  });
  applyAnswer(turn, given);
  return turn.finish();
}

describe('what an agent decides about single messages', () => {
  it('is which of them failed, each with its error; those that it does not name are handled', () => {
    const given = {
      replies: ['two done'],
      state: 2,
      messages: [
        { id: 'a', decision: 'failed', error: { name: 'no_such_order', message: 'order 7 is unknown' } },
        { id: 'b', seq: 8, decision: 'handled' },
      ],
    };
    expect(answer(given)).toEqual({
      replies: [{ kind: 'reply', text: 'two done' }],
      state: { value: jsonText(2) },
      failed: [{ seq: 3, error: { name: 'no_such_order', message: 'order 7 is unknown' } }],
    });
  });

  it('is nothing when all are handled', () => {
    expect(answer({ messages: [{ id: 'a', decision: 'handled' }] })).toEqual({ replies: [] });
    expect(answer({ messages: [] })).toEqual({ replies: [] });
  });

  it.each<[unknown, { name: string; message: string }]>([
    ['a text', { name: 'message_failed', message: 'a text' }],
    [{ message: 'so' }, { name: 'message_failed', message: 'so' }],
    // It appears in logs.
    [
      { name: 'what people wrote', message: 'so' },
      { name: 'message_failed', message: 'what people wrote: so' },
    ],
    [undefined, { name: 'message_failed', message: 'the agent gave no reason for this message' }],
    [
      { name: 'n'.repeat(150), message: 'm'.repeat(3_000) },
      { name: 'n'.repeat(100), message: 'm'.repeat(2_000) },
    ],
  ])('takes an error as %j', (error, expected) => {
    expect(answer({ messages: [{ seq: 5, decision: 'failed', error }] }).failed).toEqual([{ seq: 5, error: expected }]);
  });

  it.each<[string, object[], RegExp]>([
    ['an unknown id', [{ id: 'c', decision: 'failed' }], /messages\.0: no message of this turn/],
    [
      'an id with the seq of another',
      [{ id: 'a', seq: 5, decision: 'failed' }],
      /messages\.0: no message of this turn/,
    ],
    ['an id that two have', [{ id: 'b', decision: 'failed' }], /messages\.0: an id that 2 messages have; give the seq/],
    [
      'one message twice',
      [
        { id: 'a', decision: 'failed' },
        { seq: 3, decision: 'handled' },
      ],
      /messages\.1: a message that an entry before it names/,
    ],
    ['neither id nor seq', [{ decision: 'failed' }], /messages\.0: the id of a message, or its seq/],
    ['another decision', [{ id: 'a', decision: 'dead' }], /messages\.0\.decision: handled or failed/],
    ['an error of a handled one', [{ id: 'a', decision: 'handled', error: 'x' }], /error: an error only with decision/],
    ['an error that is none', [{ id: 'a', decision: 'failed', error: 7 }], /messages\.0\.error: a text, or \{name\?/],
    ['another field', [{ id: 'a', decision: 'failed', why: 'x' }], /messages\.0: no field called why/],
  ])('refuses %s', (_what, given, problem) => {
    expect(() => answer({ messages: given })).toThrow(problem);
  });
});
