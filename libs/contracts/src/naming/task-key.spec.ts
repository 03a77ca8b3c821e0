import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeProblem } from '../errors/errors.js';
import {
  isTaskName,
  isTaskNamespace,
  makeTaskKey,
  MAX_TASK_KEY_BYTES,
  parseTaskKeyTokens,
  sessionTaskScope,
  taskKeyProblem,
  taskKeyTokens,
} from './task-key.js';
import { encodeToken } from './tokens.js';

/** Texts with many separators, halves of separators, and characters of tokens. */
const nasty = fc.oneof(
  fc.string({ unit: fc.constantFrom(':', '::', '/', 'a', '=', '3', 'A', '.', 'é', '\u{1F600}', ' '), minLength: 1 }),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
);
const key = nasty.filter((text) => taskKeyProblem(text) === undefined);
const name = nasty.filter(isTaskName);
const agent = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,3}$/);
const RUNS = { numRuns: 3_000 };

describe('tokens of a key', () => {
  it.each<[string, string[]]>([
    ['main/telegram:-100:42::report', ['main=2Ftelegram=3A-100=3A42', 'report']],
    ['nightly::report', ['nightly', 'report']],
    ['report', ['report']],
    ['a::b::c', ['a=3A=3Ab', 'c']],
    ['a:::b', ['a=3A', 'b']],
    ['::report', ['=3A=3Areport']],
    ['report::', ['report=3A=3A']],
    ['::', ['=3A=3A']],
    [':::', [':::'.replaceAll(':', '=3A')]],
    ['a::b:', ['a', 'b=3A']],
  ])('%j is %j', (text, tokens) => {
    expect(taskKeyTokens(text)).toEqual(tokens);
    expect(parseTaskKeyTokens(tokens)).toBe(text);
  });

  it('parse to the key, and use characters that subjects and bucket keys accept', () => {
    fc.assert(
      fc.property(key, (text) => {
        const tokens = taskKeyTokens(text);
        expect(tokens.join('.')).toMatch(/^[A-Za-z0-9_=-]+(\.[A-Za-z0-9_=-]+)?$/);
        expect(parseTaskKeyTokens(tokens)).toBe(text);
      }),
      RUNS,
    );
  });

  it('are never the tokens of another key', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        expect(taskKeyTokens(a).join('.') === taskKeyTokens(b).join('.')).toBe(a === b);
      }),
      RUNS,
    );
  });

  it('that parse to a key are the tokens of that key', () => {
    const token = fc.string({ unit: fc.constantFrom('a', '=3A', '=', '3', 'b', '=2F', '=2f', '=41'), maxLength: 4 });
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(token, { maxLength: 3 }), (tokens) => {
        const text = parseTaskKeyTokens(tokens);
        if (text === undefined) return;
        accepted++;
        expect(taskKeyTokens(text)).toEqual(tokens);
      }),
      RUNS,
    );
    expect(accepted).toBeGreaterThan(100);
  });

  it.each<[string, string[]]>([
    ['nothing', []],
    ['an empty token', ['']],
    ['an empty name', ['a', '']],
    ['three tokens', ['a', 'b', 'c']],
    ['an encoding that is not canonical', ['a=2f', 'b']],
    ['one token for a key that has two', ['a=3A=3Ab']],
    ['a name that holds the separator', ['a', 'b=3A=3Ac']],
    ['a name that takes a colon from the scope', ['a', '=3Ab']],
  ])('%s parse to no key', (_title, tokens) => expect(parseTaskKeyTokens(tokens)).toBeUndefined());
});

describe('the key of a scope and a name', () => {
  it('has exactly these two tokens, so that a scope can be listed', () => {
    fc.assert(
      fc.property(key, name, (scope, task) => {
        const tokens = taskKeyTokens(makeTaskKey(scope, task));
        expect(tokens).toEqual([encodeToken(scope), encodeToken(task)]);
      }),
      RUNS,
    );
  });

  it('is never the key of another session or of another name', () => {
    fc.assert(
      fc.property(fc.tuple(agent, nasty, name), fc.tuple(agent, nasty, name), (a, b) => {
        const [one, other] = [a, b].map(([by, session, task]) => makeTaskKey(sessionTaskScope(by, session), task));
        expect(one === other).toBe(a.every((part, i) => part === b[i]));
      }),
      RUNS,
    );
  });

  it('of the longest session and the longest name is a key', () => {
    const scope = sessionTaskScope('a'.repeat(64), 'é'.repeat(256));
    expect(taskKeyProblem(makeTaskKey(scope, 'n'.repeat(128)))).toBeUndefined();
    expect(taskKeyProblem(makeTaskKey('n'.repeat(512), 'n'.repeat(128)))).toBeUndefined();
  });
});

describe('a name', () => {
  it.each(['a', 'nightly report', 'a:b', 'b:', '1', 'é'.repeat(64), 'n'.repeat(128), '\u{1F600}', 'a/b.c>*'])(
    'may be %j',
    (text) => expect(isTaskName(text)).toBe(true),
  );

  it.each<[string, string]>([
    ['nothing', ''],
    ['129 bytes', 'n'.repeat(129)],
    ['65 characters of two bytes', 'é'.repeat(65)],
    ['the separator', 'a::b'],
    ['the separator at the end', 'a::'],
    ['a colon in front', ':a'],
    ['a line break', 'a\nb'],
    ['a NUL', 'a\0'],
    ['a C1 control', 'a\u0085'],
    ['a lone surrogate', 'a\ud800'],
  ])('may not be %s', (_title, text) => expect(isTaskName(text)).toBe(false));
});

describe('a namespace', () => {
  it.each(['a', 'shared::reports', ':a', 'é'.repeat(256)])('may be %j', (text) =>
    expect(isTaskNamespace(text)).toBe(true),
  );
  it.each(['', 'n'.repeat(513), 'a\tb', '\udc00'])('may not be %j', (text) =>
    expect(isTaskNamespace(text)).toBe(false),
  );
});

describe('a key from outside', () => {
  it.each(['k', 'main/telegram:1::report', 'k'.repeat(MAX_TASK_KEY_BYTES), '::', 'a::b::c'])('may be %j', (text) =>
    expect(taskKeyProblem(text)).toBeUndefined(),
  );

  it.each<[unknown, string]>([
    ['', 'an empty text'],
    ['SECRET'.repeat(129), 'a text of 774 bytes'],
    ['x'.repeat(769), 'a text of 769 bytes'],
    ['🙂'.repeat(193), 'a text of 772 bytes'],
    ['SECRET\n', 'a text of 7 bytes'],
    ['SECRET\0', 'a text of 7 bytes'],
    ['SECRET\u0085', 'a text of 8 bytes'],
    [7, 'the number 7'],
    ['SECRET\ud800', 'a text of 9 bytes'],
    [['SECRET'], 'an array of 1'],
    [undefined, 'nothing'],
    [null, 'null'],
  ])('%j has a problem that does not contain it', (found, described) => {
    const problem = taskKeyProblem(found);
    expect(problem).toEqual({ field: 'key', found: described, wanted: expect.stringContaining('1 to 768 bytes') });
    expect(describeProblem(problem!)).not.toContain('SECRET');
  });
});
