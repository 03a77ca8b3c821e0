import type { InputProblem } from '../errors/errors.js';
import { MAX_SESSION_KEY_BYTES } from './tokens.js';

/** What is processed serially together: one thread, all threads of a channel, or all messages of one user on a platform. */
export const LOCK_SCOPES = ['thread', 'channel', 'user'] as const;
export type LockScope = (typeof LOCK_SCOPES)[number];

/** Where and by whom a message was written. */
export interface Place {
  /** As its platform names it: `telegram:-100`. */
  readonly channel: string;
  /** The full name, `telegram:-100:42`, or only its number within the channel, `42`. */
  readonly thread?: string | undefined;
  readonly author?: { readonly id: string } | undefined;
}

export type SessionKeyResult =
  { readonly ok: true; readonly session: string } | { readonly ok: false; readonly problem: InputProblem };

/** The part of a channel before the first colon. */
export function platformOf(channel: string): string {
  return channel.split(':', 1)[0] ?? '';
}

/** Platforms whose channels contain independent conversations. */
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
 * A platform may name a channel like the session of a user (`web:user:42`). An additional colon distinguishes them, and a name
 * that already has it gets another one, so that no two names collide.
 */
function besideUsers(name: string): string {
  return name.replace(/^([^:]+)(?=:+user:)/, '$1:');
}

/**
 * A colon in a thread's short name would look like one between names: thread `C:T` of `discord:G` like thread `T` of
 * `discord:G:C`. It is written as `%3A`, and names that look like that, or like its own escape, are escaped too. Nearly all
 * names have neither.
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
