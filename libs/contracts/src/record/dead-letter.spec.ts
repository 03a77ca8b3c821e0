import { describe, expect, it } from 'vitest';
import { jsonText, writeJson } from '../json/json-text.js';
import { makeDeadId, parseDeadId, parseDeadLetter, type DeadLetter } from './dead-letter.js';

const letter: DeadLetter = {
  v: 1,
  messageId: 'm1',
  seq: 7,
  runId: 'r',
  attempts: 3,
  status: 'failed',
  error: { name: 'Boom', message: 'no' },
  deadAt: 12,
  message: { v: 1, kind: 'message', id: 'm1', text: 'x', data: jsonText({ a: [null] }) },
};

describe('parseDeadLetter', () => {
  it('reads what was written', () => expect(parseDeadLetter(writeJson(letter) ?? '')).toEqual(letter));

  it.each<[string, unknown]>([
    ['null', null],
    ['a list', []],
    ...Object.entries({
      v: 2,
      messageId: 5,
      seq: 0,
      runId: null,
      attempts: -1,
      status: 'done',
      error: { name: 'x' },
      deadAt: 'noon',
      message: { v: 1, kind: 'message' },
    }).map(([field, wrong]): [string, unknown] => [`a wrong ${field}`, { ...letter, [field]: wrong }]),
    ['no message', { ...letter, message: undefined }],
  ])('%s is not a dead letter', (_title, value) => expect(parseDeadLetter(JSON.stringify(value))).toBeUndefined());

  it.each(['', '{', 'x'])('nor is text that is not JSON: %j', (text) => expect(parseDeadLetter(text)).toBeUndefined());
});

describe('a dead id', () => {
  it('is parsed as it was made', () => {
    const tokens = { agentToken: 'main', sessionToken: 'telegram=3A-100=2E5' };
    expect(parseDeadId(makeDeadId({ ...tokens, shard: 3 }, 42))).toEqual({ ...tokens, seq: 42 });
  });

  it.each([
    '',
    'main',
    'main.s',
    'main.s.',
    'main.s.0',
    'main.s.-1',
    'main.s.1.5',
    'main.s.x',
    '.s.1',
    'main..1',
    'm*.s.1',
    'main.>.1',
    '*.*.1',
    'nobody',
    'main.s.1 ',
    'a.b.c.1',
  ])('is not %j', (text) => expect(parseDeadId(text)).toBeUndefined());
});
