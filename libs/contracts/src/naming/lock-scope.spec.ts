import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultLockScope, LOCK_SCOPES, platformOf, sessionKeyFor, type LockScope, type Place } from './lock-scope.js';

const here: Place = { channel: 'telegram:-100', thread: 'telegram:-100:42', author: { id: 'u7' } };

function keyOf(scope: LockScope, place: Place): string {
  const choice = sessionKeyFor(scope, place);
  if (!choice.ok) throw new Error(`expected a key: ${choice.problem.field}`);
  return choice.session;
}

function problemOf(scope: LockScope, place: Place) {
  const choice = sessionKeyFor(scope, place);
  if (choice.ok) throw new Error(`expected a problem: ${choice.session}`);
  return choice.problem;
}

describe('sessionKeyFor', () => {
  it.each<[LockScope, Place, string]>([
    ['thread', here, 'telegram:-100:42'],
    ['channel', here, 'telegram:-100'],
    ['user', here, 'telegram:user:u7'],
    ['thread', { channel: 'telegram:-100' }, 'telegram:-100'],
    ['thread', { channel: 'web' }, 'web'],
    ['user', { channel: 'web', author: { id: 'a:b' } }, 'web:user:a:b'],
  ])('%s of %j is %s', (scope, place, session) => expect(keyOf(scope, place)).toBe(session));

  it('a thread has the same session by its short and by its full name', () => {
    expect(keyOf('thread', { channel: 'telegram:-100', thread: '42' })).toBe('telegram:-100:42');
  });

  it('threads with the same number in two channels have two sessions', () => {
    const keys = ['slack:C1', 'slack:C2'].map((channel) => keyOf('thread', { channel, thread: '1718.99' }));
    expect(keys).toEqual(['slack:C1:1718.99', 'slack:C2:1718.99']);
  });

  it('a full name counts only on its own platform', () => {
    expect(keyOf('thread', { channel: 'slack:C1', thread: 'telegram:5' })).toBe('slack:C1:telegram%3A5');
  });

  it('a colon in a short name stays in the thread: it cannot collide with a thread of another channel', () => {
    expect(keyOf('thread', { channel: 'discord:G:C', thread: 'T' })).toBe('discord:G:C:T');
    expect(keyOf('thread', { channel: 'discord:G', thread: 'C:T' })).toBe('discord:G:C%3AT');
    expect(keyOf('thread', { channel: 'discord:G', thread: 'C%3AT' })).toBe('discord:G:C%253AT');
    expect(keyOf('channel', { channel: 'discord:G:C%3AT' })).toBe('discord:G:C%253AT');
    expect(keyOf('channel', { channel: 'web:100%' })).toBe('web:100%');
  });

  it('a user has one session in all channels of a platform, and another one on another platform', () => {
    const of = (channel: string): string => keyOf('user', { channel, author: { id: 'u7' } });
    expect(of('slack:C1')).toBe(of('slack:C2'));
    expect(of('slack:C1')).not.toBe(of('telegram:C1'));
  });

  it('a channel that is named like the session of a user is still a place', () => {
    expect(keyOf('channel', { channel: 'web:user:42' })).toBe('web::user:42');
    expect(keyOf('channel', { channel: 'web::user:42' })).toBe('web:::user:42');
    expect(keyOf('thread', { channel: 'web:user', thread: '42' })).toBe('web::user:42');
    expect(keyOf('channel', { channel: 'web:users:42' })).toBe('web:users:42');
  });

  it.each<[string, Place]>([
    ['no author', { channel: 'slack:C1' }],
    ['an author without a name', { channel: 'slack:C1', author: { id: '' } }],
  ])('the scope user needs an author: %s', (_title, place) => {
    expect(problemOf('user', place)).toEqual({
      field: 'author.id',
      found: 'nothing',
      wanted: expect.stringContaining('who wrote it'),
      remedy: expect.stringContaining('author: {"id": …}'),
    });
  });

  it.each(LOCK_SCOPES)('a channel without a platform is refused by %s', (scope) => {
    expect(problemOf(scope, { ...here, channel: ':C1' })).toMatchObject({
      field: 'channel',
      wanted: expect.stringContaining('telegram:-100'),
    });
  });

  it.each<[LockScope, Place, string]>([
    ['channel', { channel: `a:${'é'.repeat(256)}` }, 'channel'],
    ['thread', { channel: `a:${'é'.repeat(256)}` }, 'channel'],
    ['thread', { channel: 'slack:C1', thread: 'x'.repeat(504) }, 'thread'],
    ['user', { channel: 'slack:C1', author: { id: '🙂'.repeat(126) } }, 'author.id'],
  ])('%s: a key that would be too long is refused with its field', (scope, place, field) => {
    const problem = problemOf(scope, place);
    expect(problem).toMatchObject({ field, wanted: expect.stringContaining('512 bytes') });
    expect(problem.found).toMatch(/^a session key of 51[3-9] bytes$/);
  });

  it('a key may have 512 bytes', () => {
    expect(keyOf('thread', { channel: 'slack:C1', thread: 'x'.repeat(503) })).toHaveLength(512);
  });
});

describe('no two sessions share a key by accident', () => {
  // Few letters, so that names collide as often as possible.
  const part = fc
    .array(fc.constantFrom('user', ':', 'a', '1', '%3A', '%', '25'), { maxLength: 4 })
    .map((parts) => parts.join(''));
  const platform = fc.constantFrom('a', 'user', 'b');
  const place = fc.record({
    channel: fc.tuple(platform, part).map(([name, rest]) => (rest === '' ? name : `${name}:${rest}`)),
    thread: fc.option(
      fc.oneof(
        part,
        fc.tuple(platform, part).map((parts) => parts.join(':')),
      ),
      { nil: undefined },
    ),
    author: part.filter((id) => id !== '').map((id) => ({ id })),
  });
  const scope = fc.constantFrom(...LOCK_SCOPES);
  /** The expected owner of the session, in an unambiguous form. */
  const subjectOf = (of: LockScope, { channel, thread, author }: Place): string => {
    if (of === 'user') return JSON.stringify(['user', platformOf(channel), author?.id]);
    if (of === 'channel' || thread === undefined) return JSON.stringify(['place', channel]);
    if (thread.startsWith(`${platformOf(channel)}:`)) return JSON.stringify(['place', thread]);
    return JSON.stringify(thread.includes(':') ? ['in', channel, thread] : ['place', `${channel}:${thread}`]);
  };

  it('the same key means the same user, or the same place by its full name', () => {
    fc.assert(
      fc.property(scope, place, scope, place, (scopeA, a, scopeB, b) => {
        const isSameKey = keyOf(scopeA, a) === keyOf(scopeB, b);
        expect(isSameKey).toBe(subjectOf(scopeA, a) === subjectOf(scopeB, b));
      }),
      { numRuns: 20_000 },
    );
  });
});

it.each([
  ['slack', 'thread'],
  ['discord', 'thread'],
  ['telegram', 'thread'],
  ['whatsapp', 'channel'],
  ['web', 'channel'],
  ['constructor', 'channel'],
])('on %s a session is a %s by default', (platform, scope) => {
  expect(defaultLockScope(platform)).toBe(scope);
});
