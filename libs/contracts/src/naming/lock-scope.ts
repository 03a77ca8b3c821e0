import type { InputProblem } from '../errors/errors.js';
import { MAX_SESSION_KEY_BYTES } from './tokens.js';

/** What is serial together: one thread, all threads of a channel, or everything that one user says on a platform. */
export const LOCK_SCOPES = ['thread', 'channel', 'user'] as const;
export type LockScope = (typeof LOCK_SCOPES)[number];

/** Where and by whom something was said. */
export interface Place {
  /** As its platform names it: `telegram:-100`. */
  readonly channel: string;
  /** The full name, `telegram:-100:42`, or only what its channel numbers it with, `42`. */
  readonly thread?: string | undefined;
  readonly author?: { readonly id: string } | undefined;
}

export type SessionKeyResult =
  { readonly ok: true; readonly session: string } | { readonly ok: false; readonly problem: InputProblem };

/** What stands before the first colon of a channel. */
export function platformOf(channel: string): string {
  return channel.split(':', 1)[0] ?? '';
}

/** Where a channel holds conversations that have nothing to do with each other. */
const PLATFORMS_WITH_THREADS = new Set(['slack', 'discord', 'telegram']);

export function defaultLockScope(platform: string): LockScope {
  return PLATFORMS_WITH_THREADS.has(platform) ? 'thread' : 'channel';
}

export function sessionKeyFor(scope: LockScope, place: Place): SessionKeyResult {
  const { channel, thread, author } = place;
  const platform = platformOf(channel);
  if (platform === '') {
    const wanted = '<platform>:<id>, such as telegram:-100';
    return refuse({ field: 'channel', found: 'no platform before the first colon', wanted, remedy: 'name one' });
  }
  if (scope === 'channel') return bounded('channel', besideUsers(escaped(channel)));
  if (scope === 'thread') {
    if (thread === undefined) return bounded('channel', besideUsers(escaped(channel)));
    const isFullName = thread.startsWith(`${platform}:`);
    const name = isFullName ? escaped(thread) : `${escaped(channel)}:${escaped(thread).replaceAll(':', '%3A')}`;
    return bounded('thread', besideUsers(name));
  }
  if (author === undefined || author.id === '') {
    return refuse({
      field: 'author.id',
      found: 'nothing',
      wanted: 'who wrote it, since each user has a session of their own here (lockScope user)',
      remedy: 'send author: {"id": …}, or set another lockScope',
    });
  }
  return bounded('author.id', `${platform}:user:${author.id}`);
}

/**
 * A platform may name a channel like the session of a user (`web:user:42`). One colon more tells them apart, and what has it
 * already gets another, so that no two names meet.
 */
function besideUsers(name: string): string {
  return name.replace(/^([^:]+)(?=:+user:)/, '$1:');
}

/**
 * A colon in a thread's short name would read as one between names: thread `C:T` of `discord:G` as thread `T` of `discord:G:C`. It
 * is written `%3A`, and what looks like that, or like its own escape, is told apart. Nearly all names have neither.
 */
function escaped(name: string): string {
  return name.replace(/%(?=3A|25)/g, '%25');
}

function bounded(field: string, session: string): SessionKeyResult {
  const bytes = Buffer.byteLength(session);
  if (bytes <= MAX_SESSION_KEY_BYTES) return { ok: true, session };
  return refuse({
    field,
    found: `a session key of ${bytes} bytes`,
    wanted: `one of at most ${MAX_SESSION_KEY_BYTES} bytes of UTF-8`,
    remedy: 'shorten the name, or send to /sessions/{session}/messages with a key of your own',
  });
}

function refuse(problem: InputProblem): SessionKeyResult {
  return { ok: false, problem };
}
