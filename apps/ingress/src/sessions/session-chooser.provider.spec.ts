import { describe, expect, it } from 'vitest';
import type { LockScope } from '#contracts';
import { ProblemException } from '#http';
import { silentLogger, type Logger } from '#telemetry';
import type { LockScopeResolver } from './lock-scope-resolver.js';
import { SessionChooser } from './session-chooser.provider.js';

const telegram = { channel: 'telegram:-100', thread: 'telegram:-100:42', author: { id: 'u7', name: 'Ann' } };
const whatsapp = { ...telegram, channel: 'whatsapp:1', thread: 'whatsapp:1:9' };

function chooserOf(more: { scopeOf?: () => LockScope | undefined; resolver?: unknown } = {}) {
  const lines: unknown[] = [];
  const log = { ...silentLogger, error: (...args: unknown[]) => void lines.push(args) } as unknown as Logger;
  const { scopeOf = () => undefined } = more;
  const resolver = more.resolver as LockScopeResolver | undefined;
  return { chooser: new SessionChooser({ scopeOf, resolver, log }), lines };
}

async function problemOf(choosing: Promise<string>) {
  const error: unknown = await choosing.then(
    (session) => `a session: ${session}`,
    (error: unknown) => error,
  );
  if (!(error instanceof ProblemException)) throw new Error(`expected a problem, found ${String(error)}`);
  return error.problem;
}

describe('without a resolver and settings', () => {
  it('the platform decides', async () => {
    const { chooser } = chooserOf();
    expect(await chooser.sessionOf('main', telegram)).toBe('telegram:-100:42');
    expect(await chooser.sessionOf('main', whatsapp)).toBe('whatsapp:1');
  });
});

describe('the settings', () => {
  it('come over the platform, and are asked by agent and platform', async () => {
    const asked: string[][] = [];
    const scopeOf = (...args: string[]): LockScope => (asked.push(args), 'channel');
    expect(await chooserOf({ scopeOf }).chooser.sessionOf('research', telegram)).toBe('telegram:-100');
    expect(asked).toEqual([['research', 'telegram']]);
  });

  it('that ask for users refuse a message without an author by its field', async () => {
    const { chooser, lines } = chooserOf({ scopeOf: () => 'user' });
    const problem = await problemOf(chooser.sessionOf('main', { channel: 'slack:C1' }));
    expect(problem).toMatchObject({ status: 422, errors: [{ field: 'author.id', found: 'nothing' }] });
    expect(lines).toEqual([]);
  });
});

describe('a resolver', () => {
  it.each<[string, unknown, string]>([
    ['a scope', 'user', 'telegram:user:u7'],
    ['a scope that it had to look up', Promise.resolve('channel'), 'telegram:-100'],
    ['a session of its own', { session: 'thread' }, 'thread'],
    ['the longest session', { session: 'é'.repeat(256) }, 'é'.repeat(256)],
  ])('comes over settings and platform with %s', async (_title, resolved, session) => {
    const { chooser } = chooserOf({ resolver: () => resolved, scopeOf: () => 'thread' });
    expect(await chooser.sessionOf('main', telegram)).toBe(session);
  });

  it('is told where and by whom, never what was said, and gets a copy', async () => {
    const seen: object[] = [];
    const resolver: LockScopeResolver = (place) => {
      seen.push(structuredClone(place));
      (place.author as { id: string }).id = 'somebody else';
      return 'user';
    };
    const message = { ...telegram, author: { ...telegram.author }, text: 'SECRET', id: 'm', v: 1 };
    await chooserOf({ resolver }).chooser.sessionOf('main', message);
    expect(seen).toEqual([{ agent: 'main', platform: 'telegram', ...telegram }]);
    expect(message.author).toEqual(telegram.author);
  });

  it.each<[string, unknown, string]>([
    ['nothing', undefined, 'found nothing'],
    ['null', null, 'found null'],
    ['a word that is no scope', 'room', 'found a text of 4 bytes'],
    ['a number', 5, 'found the number 5'],
    ['an object without a session', {}, 'found an object'],
    ['an empty session', { session: '' }, 'found a session that is an empty text'],
    ['a session that is a number', { session: 5 }, 'found a session that is the number 5'],
    ['half a character', { session: 'a\ud800' }, 'found a session that is a text of 4 bytes'],
    ['a session that is too long', { session: 'x'.repeat(513) }, 'found a session that is a text of 513 bytes'],
  ])('that answers %s is to blame, and it is logged', async (_title, resolved, found) => {
    const { chooser, lines } = chooserOf({ resolver: () => resolved });
    const problem = await problemOf(chooser.sessionOf('main', telegram));
    expect(problem).toMatchObject({ status: 500, code: 'lock-scope-resolver' });
    expect(problem.detail).toContain(`LOCK_SCOPE_RESOLVER: ${found}, wanted thread, channel, user or {session}`);
    expect(lines).toEqual([[{ agent: 'main', platform: 'telegram' }, expect.stringContaining(found)]]);
  });

  it.each<[string, LockScopeResolver]>([
    [
      'at once',
      () => {
        throw new Error('no database');
      },
    ],
    ['later', () => Promise.reject(new Error('no database'))],
  ])('that throws %s is to blame; what it threw is logged and not answered', async (_title, resolver) => {
    const { chooser, lines } = chooserOf({ resolver });
    const problem = await problemOf(chooser.sessionOf('main', telegram));
    expect(problem).toMatchObject({ status: 500, code: 'lock-scope-resolver' });
    expect(JSON.stringify(problem)).not.toContain('no database');
    expect(lines).toEqual([[expect.objectContaining({ error: new Error('no database') }), expect.any(String)]]);
  });
});
