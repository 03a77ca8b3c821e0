import { describe, expect, it } from 'vitest';
import { describeProblem } from '../errors/errors.js';
import {
  AGENT_NAME_PATTERN,
  MAX_TEXT_BYTES,
  checkChannelMessageBody,
  checkSendMessageBody,
  parseInboxEntry,
  type InboxMessage,
} from './message.js';
import { describeValue } from '../errors/describe-value.js';
import { JsonText, jsonText } from '../json/json-text.js';

function problemsOf(body: unknown) {
  const checked = checkSendMessageBody(body);
  if (checked.ok) throw new Error('expected a problem');
  return checked;
}

const deep = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)) as unknown;
const full = {
  id: 'm-1',
  text: 'hello \u{1F600}\n',
  data: { a: [1, null, 'x'] },
  author: { id: 'u', name: 'N' },
  thread: 't',
  channel: 'telegram:-100',
  strategy: 'fifo' as const,
  sequence: 7,
  replyTo: 'https://example.org/hook?x=1',
  sentAt: '2026-01-02T03:04:05.678+02:00',
};

/** As it is passed on: with its data as text. */
function carried<Body extends object>(body: Body): Body {
  return 'data' in body ? { ...body, data: jsonText(body.data) } : body;
}

describe('checkSendMessageBody', () => {
  it.each<[string, object]>([
    ['every field', full],
    ['a text alone', { text: 'hi' }],
    ['an empty text', { text: '' }],
    ['data alone', { data: { a: 1 } }],
    ['data that is null', { data: null }],
    ['an author without name', { text: 'x', author: { id: 'u' } }],
    ['ids of any script and of the full length', { text: 'x', id: 'é'.repeat(256) }],
    ['the largest text', { text: 'é'.repeat(MAX_TEXT_BYTES / 2) }],
    ['the first numbers', { text: 'x', sequence: 0 }],
    ['the last number', { text: 'x', sequence: Number.MAX_SAFE_INTEGER }],
    ['UTC', { text: 'x', sentAt: '2026-01-02T03:04:05Z' }],
  ])('takes %s, unchanged', (_title, body) =>
    expect(checkSendMessageBody(body)).toEqual({ ok: true, body: carried(body) }),
  );

  it.each<[string, unknown, string, string]>([
    ['no object', 'SECRET', 'body', 'a text of 6 bytes'],
    ['an array', ['SECRET'], 'body', 'an array of 1'],
    ['null', null, 'body', 'null'],
    ['nothing', undefined, 'body', 'nothing'],
    ['a number', 42, 'body', 'the number 42'],
    ['true', true, 'body', 'the boolean true'],
    ['an id alone', { id: 'SECRET' }, 'text', 'nothing'],
    ['neither text nor data', {}, 'text', 'nothing'],
    ['a text that is a number', { text: 5 }, 'text', 'the number 5'],
    ['a text that is null', { text: null }, 'text', 'null'],
    ['a text that is a list', { text: ['SECRET'] }, 'text', 'an array of 1'],
    ['a text that is an object', { text: { a: 'SECRET' } }, 'text', 'an object'],
    ['half a character', { text: 'SECRET\ud800' }, 'text', 'a text of 9 bytes'],
    ['an empty id', { text: 'x', id: '' }, 'id', 'an empty text'],
    ['a long id', { text: 'x', id: 'SECRET'.repeat(43) }, 'id', 'a text of 258 bytes'],
    ['an id that is a number', { text: 'x', id: 7 }, 'id', 'the number 7'],
    ['an id that is null', { text: 'x', id: null }, 'id', 'null'],
    ['half a character in an id', { text: 'x', id: 'SECRET\udc00' }, 'id', 'a text of 9 bytes'],
    ['a line break in an id', { text: 'x', id: 'SECRET\n' }, 'id', 'a text of 7 bytes'],
    ['a NUL in an id', { text: 'x', id: 'SECRET\0' }, 'id', 'a text of 7 bytes'],
    ['a C1 control in an id', { text: 'x', id: 'SECRET\u0085' }, 'id', 'a text of 8 bytes'],
    ['an author that is a text', { text: 'x', author: 'SECRET' }, 'author', 'a text of 6 bytes'],
    ['an author without id', { text: 'x', author: { name: 'SECRET' } }, 'author.id', 'nothing'],
    ['an empty author id', { text: 'x', author: { id: '' } }, 'author.id', 'an empty text'],
    ['a long author id', { text: 'x', author: { id: 'x'.repeat(257) } }, 'author.id', 'a text of 257 bytes'],
    ['an empty author name', { text: 'x', author: { id: 'u', name: '' } }, 'author.name', 'an empty text'],
    [
      'half a character in a name',
      { text: 'x', author: { id: 'u', name: '\ud800' } },
      'author.name',
      'a text of 3 bytes',
    ],
    [
      'a long author name',
      { text: 'x', author: { id: 'u', name: 'x'.repeat(257) } },
      'author.name',
      'a text of 257 bytes',
    ],
    ['an empty thread', { text: 'x', thread: '' }, 'thread', 'an empty text'],
    ['a long thread', { text: 'x', thread: 'x'.repeat(513) }, 'thread', 'a text of 513 bytes'],
    ['a thread that is a number', { text: 'x', thread: 1 }, 'thread', 'the number 1'],
    ['an empty channel', { text: 'x', channel: '' }, 'channel', 'an empty text'],
    ['a channel that is a number', { text: 'x', channel: 7 }, 'channel', 'the number 7'],
    ['a long channel', { text: 'x', channel: 'x'.repeat(513) }, 'channel', 'a text of 513 bytes'],
    ['half a character in a channel', { text: 'x', channel: 'a:\ud800' }, 'channel', 'a text of 5 bytes'],
    ['an unknown strategy', { text: 'x', strategy: 'SECRET' }, 'strategy', 'a text of 6 bytes'],
    ['a strategy of a later version', { text: 'x', strategy: 'steer' }, 'strategy', 'a text of 5 bytes'],
    ['a strategy that is an object', { text: 'x', strategy: { toString: 1 } }, 'strategy', 'an object'],
    ['a negative number', { text: 'x', sequence: -1 }, 'sequence', 'the number -1'],
    ['a number with a fraction', { text: 'x', sequence: 1.5 }, 'sequence', 'the number 1.5'],
    ['a number that is not exact', { text: 'x', sequence: 2 ** 53 }, 'sequence', 'the number 9007199254740992'],
    ['a number without end', { text: 'x', sequence: Number.POSITIVE_INFINITY }, 'sequence', 'the number Infinity'],
    ['a number in a text', { text: 'x', sequence: '7' }, 'sequence', 'a text of 1 bytes'],
    ['no number', { text: 'x', sequence: null }, 'sequence', 'null'],
    ['a replyTo that is no URL', { text: 'x', replyTo: 'SECRET' }, 'replyTo', 'a text of 6 bytes'],
    ['a replyTo of another protocol', { text: 'x', replyTo: 'ftp://SECRET' }, 'replyTo', 'a text of 12 bytes'],
    ['a script as replyTo', { text: 'x', replyTo: 'javascript:SECRET' }, 'replyTo', 'a text of 17 bytes'],
    ['a long replyTo', { text: 'x', replyTo: `https://a.b/${'x'.repeat(2048)}` }, 'replyTo', 'a text of 2060 bytes'],
    ['a replyTo of a file', { text: 'x', replyTo: 'file:///SECRET' }, 'replyTo', 'a text of 14 bytes'],
    ['a replyTo that is an object', { text: 'x', replyTo: { url: 'http://a.b/' } }, 'replyTo', 'an object'],
    ['a sentAt that is a word', { text: 'x', sentAt: 'SECRET' }, 'sentAt', 'a text of 6 bytes'],
    ['a sentAt that is no date', { text: 'x', sentAt: '2026-13-40T25:61:00Z' }, 'sentAt', 'a text of 20 bytes'],
    ['a sentAt that is a day', { text: 'x', sentAt: '2026-01-02' }, 'sentAt', 'a text of 10 bytes'],
    ['a sentAt without zone', { text: 'x', sentAt: '2026-01-02T03:04:05' }, 'sentAt', 'a text of 19 bytes'],
    ['a sentAt that is a number', { text: 'x', sentAt: 0 }, 'sentAt', 'the number 0'],
    ['data nested beyond reading', { data: deep }, 'data', 'a value nested too deeply'],
  ])('refuses %s with its field, without its content', (_title, body, field, found) => {
    const { problems, tooLarge } = problemsOf(body);
    expect(problems).toEqual([expect.objectContaining({ field, found, wanted: expect.stringMatching(/./) })]);
    expect(tooLarge).toBe(false);
    expect(problems.map(describeProblem).join()).not.toContain('SECRET');
  });

  it.each<[string, object, string, string]>([
    ['the nearest name', { text: 'x', replayTo: 'SECRET' }, 'replayTo', 'did you mean replyTo?'],
    ['no name when none is near', { text: 'x', attachments: 'SECRET' }, 'attachments', 'leave attachments out'],
    [
      'the nearest name inside author',
      { text: 'x', author: { id: 'u', nam: 'SECRET' } },
      'author.nam',
      'did you mean name?',
    ],
    [
      'no top-level field inside author',
      { text: 'x', author: { id: 'u', thread: 'SECRET' } },
      'author.thread',
      'leave thread out',
    ],
  ])('an unknown field gets %s', (_title, body, field, remedy) => {
    const { problems } = problemsOf(body);
    expect(problems).toEqual([expect.objectContaining({ field, found: 'an unknown field', remedy })]);
    expect(JSON.stringify(problems)).not.toContain('SECRET');
  });

  it.each<[string, unknown]>([
    ['a name', 'report'],
    ['a name with a colon', 'a:b'],
    ['the longest name', 'n'.repeat(128)],
    ['a group with a name alone', { name: 'report' }],
    ['a group with all', { name: 'report', namespace: 'shared::a', ttlMs: 1_000, stale: 'approve' }],
    ['the longest time to live', { name: 'report', ttlMs: 86_400_000, stale: 'heal' }],
    ['the longest namespace', { name: 'report', namespace: 'n'.repeat(512) }],
  ])('accepts a task that is %s, unchanged', (_title, task) => {
    const body = { text: 'x', task };
    expect(checkSendMessageBody(body)).toEqual({ ok: true, body });
    const message = { v: 1, kind: 'message', id: 'a', ...body };
    expect(parseInboxEntry(JSON.stringify(message))).toEqual({ ok: true, message });
  });

  it.each<[unknown, string, string, string]>([
    ['', 'task', 'an empty text', '1 to 128 bytes'],
    ['SECRET::a', 'task', 'a text of 9 bytes', 'without "::"'],
    [':SECRET', 'task', 'a text of 7 bytes', 'not beginning with ":"'],
    ['SECRET\n', 'task', 'a text of 7 bytes', 'without control characters'],
    ['SECRET\u0085', 'task', 'a text of 8 bytes', 'without control characters'],
    ['n'.repeat(129), 'task', 'a text of 129 bytes', '1 to 128 bytes'],
    ['é'.repeat(65), 'task', 'a text of 130 bytes', '1 to 128 bytes'],
    ['SECRET\ud800', 'task', 'a text of 9 bytes', '1 to 128 bytes'],
    [5, 'task', 'the number 5', 'the name of a task, or {name'],
    [null, 'task', 'null', 'the name of a task, or {name'],
    [['SECRET'], 'task', 'an array of 1', 'the name of a task, or {name'],
    [{}, 'task.name', 'nothing', '1 to 128 bytes'],
    [{ name: 'SECRET::a' }, 'task.name', 'a text of 9 bytes', 'without "::"'],
    [{ name: 'a', namespace: '' }, 'task.namespace', 'an empty text', '1 to 512 bytes'],
    [{ name: 'a', namespace: 'n'.repeat(513) }, 'task.namespace', 'a text of 513 bytes', '1 to 512 bytes'],
    [{ name: 'a', namespace: 'SECRET\0' }, 'task.namespace', 'a text of 7 bytes', 'without control characters'],
    [{ name: 'a', ttlMs: 999 }, 'task.ttlMs', 'the number 999', 'whole milliseconds from 1000 to 86400000'],
    [{ name: 'a', ttlMs: 86_400_001 }, 'task.ttlMs', 'the number 86400001', 'whole milliseconds from 1000'],
    [{ name: 'a', stale: 'SECRET' }, 'task.stale', 'a text of 6 bytes', 'one of heal, approve'],
  ])('refuses the task %j with its field, without its content', (task, field, found, wanted) => {
    const { problems, tooLarge } = problemsOf({ text: 'x', task });
    expect(problems).toEqual([{ field, found, wanted: expect.stringContaining(wanted) }]);
    expect(tooLarge).toBe(false);
    expect(JSON.stringify(problems)).not.toContain('SECRET');
  });

  it('lists the fields of a task', () => {
    const { problems } = problemsOf({ text: 'x', task: { name: 'a', ttl: 'SECRET', namspace: 'SECRET' } });
    const unknown = { found: 'an unknown field', wanted: 'one of name, namespace, ttlMs, stale, maxAttempts' };
    expect(problems).toEqual([
      { field: 'task.ttl', ...unknown, remedy: 'did you mean ttlMs?' },
      { field: 'task.namspace', ...unknown, remedy: 'did you mean namespace?' },
    ]);
  });

  it('says what an author is', () => {
    const { problems } = problemsOf({ text: 'x', author: 'SECRET' });
    expect(problems[0]?.wanted).toMatch(/^an object \{id, name\?\}/);
  });

  it('lists the fields of author', () => {
    const { problems } = problemsOf({ text: 'x', author: { id: 'u', task: 'SECRET' } });
    expect(problems).toMatchObject([{ found: 'an unknown field', wanted: 'one of id, name' }]);
  });

  it.each(['steer', 'interrupt'])('says that strategy %s comes in a later version', (strategy) => {
    const { problems } = problemsOf({ text: 'x', strategy });
    expect(problems[0]?.wanted).toMatch(/^one of queue, fifo.* followup: \w+ comes in a later version$/);
    expect(problems[0]?.wanted).toContain(strategy);
  });

  it('reads strategy names of other systems as ours, so that either makes the same message', () => {
    const body = { text: 'x', strategy: 'fifo' };
    expect(checkSendMessageBody({ text: 'x', strategy: 'followup' })).toEqual({ ok: true, body });
    const place = { ...body, channel: 'slack:C1' };
    expect(checkChannelMessageBody({ ...place, strategy: 'followup' })).toEqual({ ok: true, body: place });
  });

  it('says which numbers are valid', () => {
    const { problems } = problemsOf({ text: 'x', sequence: -1 });
    expect(problems[0]?.wanted).toBe('a whole number from 0 to 9007199254740991');
  });

  it.each(['priority'])('refuses %s of a later version by its name', (field) => {
    expect(problemsOf({ text: 'x', [field]: 'SECRET' }).problems).toEqual([
      { field, found: 'a value', wanted: 'no such field in this version', remedy: `leave ${field} out` },
    ]);
  });

  it('lists every problem at once', () => {
    const { problems } = problemsOf({ text: 5, id: '', foo: 1, thread: 7 });
    expect(problems.map(({ field }) => field).toSorted()).toEqual(['foo', 'id', 'text', 'thread']);
  });

  it('is too large only for size', () => {
    const text = 'é'.repeat(MAX_TEXT_BYTES / 2) + 'x';
    expect(problemsOf({ text })).toEqual({
      ok: false,
      tooLarge: true,
      problems: [
        { field: 'text', found: `a text of ${MAX_TEXT_BYTES + 1} bytes`, wanted: `at most ${MAX_TEXT_BYTES} bytes` },
      ],
    });
    expect(problemsOf({ text, id: '' }).tooLarge).toBe(false);
    expect(problemsOf({ text, foo: 1 }).tooLarge).toBe(false);
  });
});

describe('checkChannelMessageBody', () => {
  it('accepts what the other check accepts, with a channel', () => {
    expect(checkChannelMessageBody(full)).toEqual({ ok: true, body: carried(full) });
    const { channel: _channel, ...without } = full;
    expect(checkSendMessageBody(without)).toMatchObject({ ok: true });
    expect(checkChannelMessageBody(without)).toMatchObject({
      problems: [{ field: 'channel', found: 'nothing', wanted: expect.stringContaining('such as telegram:-100') }],
    });
  });

  it.each<[string, object, object]>([
    ['a channel that is a number', { channel: 7 }, { field: 'channel', found: 'the number 7' }],
    ['a thread that is empty', { channel: 'slack:C1', thread: '' }, { field: 'thread', found: 'an empty text' }],
  ])('refuses %s', (_title, place, problem) => {
    expect(checkChannelMessageBody({ text: 'x', ...place })).toMatchObject({ ok: false, problems: [problem] });
  });

  it('lists a misspelt channel with the name that is meant', () => {
    const checked = checkChannelMessageBody({ text: 'x', chanel: 'slack:C1' });
    expect(checked.ok ? [] : checked.problems.map(({ remedy }) => remedy)).toContain('did you mean channel?');
  });

  it('lists all other problems, and is too large only for size', () => {
    const checked = checkChannelMessageBody({ id: '', txt: 'x' });
    const fields = checked.ok ? [] : checked.problems.map(({ field }) => field);
    expect(fields.toSorted()).toEqual(['channel', 'id', 'txt']);
    const text = 'x'.repeat(MAX_TEXT_BYTES + 1);
    expect(checkChannelMessageBody({ channel: 'a', text })).toMatchObject({ tooLarge: true });
    expect(checkChannelMessageBody({ text })).toMatchObject({ tooLarge: false });
  });
});

describe('parseInboxEntry', () => {
  const stored: InboxMessage = carried({ v: 1, kind: 'message', ...full }) as never;

  it('reads what ingress stores', () => {
    expect(parseInboxEntry(JSON.stringify(stored))).toEqual({ ok: true, message: stored });
  });

  it.each<[string, unknown, string]>([
    ['another version', { ...stored, v: 2 }, "the body's v"],
    ['another kind', { ...stored, kind: 'event' }, "the body's kind"],
    ['an unknown order', { v: 1, kind: 'control', id: 'c', op: 'SECRET' }, "the body's op"],
    ['no id', { ...stored, id: undefined }, "the body's id"],
    ['a control character in the id', { ...stored, id: 'SECRET\r\n' }, "the body's id"],
    ['a wrong text', { ...stored, text: ['SECRET'] }, "the body's text"],
    ['a wrong author', { ...stored, author: { id: 5 } }, "the body's author.id"],
    ['an array', [stored], "the body's shape"],
    ['nothing', null, "the body's shape"],
  ])('%s gives a problem', (_title, body, problem) => {
    const parsed = parseInboxEntry(JSON.stringify(body));
    expect(parsed).toMatchObject({ ok: false, problem: expect.stringContaining(problem) });
    expect(JSON.stringify(parsed)).not.toContain('SECRET');
  });

  it('carries data of any depth, though ingress would not store it: it stays a text', () => {
    const data = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const parsed = parseInboxEntry(`{"v":1,"kind":"message","id":"a","data":${data}}`);
    expect(parsed).toEqual({ ok: true, message: { v: 1, kind: 'message', id: 'a', data: new JsonText(data) } });
  });

  it('keeps a problem short, whatever the keys are', () => {
    const parsed = parseInboxEntry(JSON.stringify({ ...stored, author: { id: 'u', ['k'.repeat(100_000)]: 1 } }));
    if (parsed.ok) throw new Error('expected a problem');
    expect(parsed.problem).toMatch(/^the body's author/);
    expect(parsed.problem.length).toBeLessThanOrEqual(200);
  });

  it.each(['', '{', 'hello'])('no JSON gives a problem: %j', (text) => {
    expect(parseInboxEntry(text)).toEqual({ ok: false, problem: 'the body is no JSON' });
  });
});

describe('describeValue', () => {
  it.each<[unknown, string]>([
    [undefined, 'nothing'],
    [null, 'null'],
    ['', 'an empty text'],
    ['é', 'a text of 2 bytes'],
    [[1, 2], 'an array of 2'],
    [{ a: 1 }, 'an object'],
    [true, 'the boolean true'],
  ])('%j is %s', (value, description) => expect(describeValue(value)).toBe(description));
});

it.each<[string, boolean]>([
  ['main', true],
  ['0', true],
  ['a-b_c', true],
  ['a'.repeat(64), true],
  ['a'.repeat(65), false],
  ['', false],
  ['-a', false],
  ['Main', false],
  ['a.b', false],
  ['main\n', false],
])('agent name %j: %s', (name, isOne) => expect(AGENT_NAME_PATTERN.test(name)).toBe(isOne));
