import { Injectable } from '@nestjs/common';
import {
  defaultLockScope,
  describeValue,
  LOCK_SCOPES,
  MAX_SESSION_KEY_BYTES,
  platformOf,
  sessionKeyFor,
  type ChannelMessageBody,
  type LockScope,
} from '#contracts';
import { inputProblem, ProblemException } from '#http';
import type { Logger } from '#telemetry';
import type { LockScopeResolver, PlaceOfMessage, ResolvedScope } from './lock-scope-resolver.js';

/** The scope that the settings give to the channels of a platform; `undefined` = none. */
export type ScopeOf = (agent: string, platform: string) => LockScope | undefined;

export interface SessionChooserParts {
  readonly scopeOf: ScopeOf;
  readonly resolver?: LockScopeResolver | undefined;
  readonly log: Logger;
}

/** Finds the session of a message by where it was said: the resolver decides, else the settings, else the platform. */
@Injectable()
export class SessionChooser {
  constructor(private readonly parts: SessionChooserParts) {}

  async sessionOf(
    agent: string,
    { channel, thread, author }: Pick<ChannelMessageBody, 'channel' | 'thread' | 'author'>,
  ): Promise<string> {
    const platform = platformOf(channel);
    const place: PlaceOfMessage = {
      ...{ agent, platform, channel },
      ...(thread === undefined ? {} : { thread }),
      // A copy: the message is stored as its sender gave it, whatever a resolver does to what it gets.
      ...(author === undefined ? {} : { author: { ...author } as NonNullable<PlaceOfMessage['author']> }),
    };
    const { scopeOf, resolver } = this.parts;
    const resolved = resolver === undefined ? undefined : await this.resolve(resolver, place);
    if (typeof resolved === 'object') return resolved.session;
    const choice = sessionKeyFor(resolved ?? scopeOf(agent, platform) ?? defaultLockScope(platform), place);
    if (!choice.ok) throw inputProblem(422, [choice.problem]);
    return choice.session;
  }

  private async resolve(resolver: LockScopeResolver, place: PlaceOfMessage): Promise<ResolvedScope> {
    let resolved: unknown;
    try {
      resolved = await resolver(place);
    } catch (error) {
      throw this.failed(place, 'an error', error);
    }
    if (!isResolved(resolved)) throw this.failed(place, describeResolved(resolved));
    return resolved;
  }

  private failed({ agent, platform }: PlaceOfMessage, found: string, error?: unknown): ProblemException {
    const detail = `LOCK_SCOPE_RESOLVER: found ${found}, wanted ${WANTED}; mend the resolver, then send the message again`;
    this.parts.log.error({ agent, platform, ...(error === undefined ? {} : { error }) }, detail);
    return new ProblemException({
      status: 500,
      code: 'lock-scope-resolver',
      title: 'No session could be chosen',
      detail: `${detail}. Nothing was stored; what it threw, if anything, is in the log of this service.`,
    });
  }
}

const WANTED = `${LOCK_SCOPES.join(', ')} or {session} of 1 to ${MAX_SESSION_KEY_BYTES} bytes`;

function isResolved(value: unknown): value is ResolvedScope {
  if (LOCK_SCOPES.some((scope) => scope === value)) return true;
  const session = sessionIn(value);
  if (typeof session !== 'string' || session === '' || !session.isWellFormed()) return false;
  return Buffer.byteLength(session) <= MAX_SESSION_KEY_BYTES;
}

function describeResolved(value: unknown): string {
  const session = sessionIn(value);
  return session === undefined ? describeValue(value) : `a session that is ${describeValue(session)}`;
}

function sessionIn(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? (value as { session?: unknown }).session : undefined;
}
