import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { Names, type InboxMessage, type LockScope, type SessionTokens } from '#contracts';
import { HttpAppModule } from '#http';
import { silentLogger } from '#telemetry';
import { IngressModule, type IngressModuleOptions } from '../ingress.module.js';
import { LOCK_SCOPE_RESOLVER, type LockScopeResolver } from '../sessions/lock-scope-resolver.js';
import type { StoredRecord } from '../sessions/session-history.client.js';

const names = new Names('lk', 64);
const apps: NestFastifyApplication[] = [];
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
});

interface World {
  readonly resolver?: LockScopeResolver;
  readonly scope?: LockScope;
  readonly decided?: object;
  readonly duplicate?: boolean;
}

/** The routes over an inbox that only notes what it is given. */
async function startRoutes({ resolver, scope, decided, duplicate = false }: World = {}) {
  const stored: { readonly session: string; readonly message: InboxMessage }[] = [];
  const record = { recordSeq: 1, storedAtMs: 1, record: decided } as StoredRecord;
  const watch = { decided: () => Promise.resolve(decided === undefined ? undefined : record), close: () => {} };
  const parts = {
    names,
    agents: ['main'],
    inbox: {
      store: (key: SessionTokens, message: InboxMessage) => {
        stored.push({ session: key.sessionToken, message });
        return Promise.resolve({ seq: 5, duplicate });
      },
    },
    waiter: { watch: () => watch },
  };
  const options = {
    ...{ parts, deadLetters: {}, workers: {}, log: silentLogger, scopeOf: () => scope },
    providers: resolver === undefined ? [] : [{ provide: LOCK_SCOPE_RESOLVER, useValue: resolver }],
  } as unknown as IngressModuleOptions;
  const pulse = { isUp: true, roundTrip: () => Promise.resolve(1) };
  const routes = [IngressModule.register(options)];
  const imports = [HttpAppModule.register({ routes, readiness: { pulse }, log: silentLogger })];
  const module = await Test.createTestingModule({ imports }).compile();
  const app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter(), { logger: false });
  apps.push(app);
  await app.init();
  const send = async (body: object, url = '/v1/agents/main/messages', headers: Record<string, string> = {}) => {
    const answer = await app.inject({ method: 'POST', url, payload: body, headers });
    return { status: answer.statusCode, body: answer.json<Record<string, unknown>>() };
  };
  return { send, stored };
}

const here = { channel: 'slack:C1', thread: 'slack:C1:9', text: 'x' };

describe('POST /v1/agents/{agent}/messages', () => {
  it('stores the message in the session of its place, as it came, and says which that is', async () => {
    const { send, stored } = await startRoutes();
    expect(await send({ id: 'm1', ...here })).toEqual({
      status: 202,
      body: { session: 'slack:C1:9', messageId: 'm1', seq: 5, duplicate: false },
    });
    expect(stored).toEqual([
      { session: 'slack=3AC1=3A9', message: { v: 1, kind: 'message', id: 'm1', ...here } satisfies InboxMessage },
    ]);
  });

  it('takes its id from Idempotency-Key, and tells of a duplicate only who knows the id', async () => {
    const { send } = await startRoutes({ duplicate: true });
    const named = await send(here, '/v1/agents/main/messages', { 'idempotency-key': 'k' });
    expect(named.body).toMatchObject({ messageId: 'k', duplicate: true });
    expect((await send(here)).body).toMatchObject({ duplicate: false });
  });

  it('waits like the session route', async () => {
    const messages = [{ id: 'm1', seq: 5, decision: 'dropped', reason: 'queue-full' }];
    const sends = [{ kind: 'reply', seq: 5, text: 'busy' }];
    const { send } = await startRoutes({ decided: { kind: 'note', messages, sends } });
    expect(await send({ id: 'm1', ...here }, '/v1/agents/main/messages?wait=1s')).toEqual({
      status: 200,
      body: {
        ...{ session: 'slack:C1:9', messageId: 'm1', seq: 5, duplicate: false },
        ...{ decision: 'dropped', reason: 'queue-full', status: 'dropped', replies: [{ text: 'busy' }] },
      },
    });
  });

  it.each<[string, string, object, number, string]>([
    ['a body without a channel', '/v1/agents/main/messages', { text: 'x' }, 422, 'channel: found nothing'],
    ['a field that is wrong', '/v1/agents/main/messages', { ...here, thread: 7 }, 422, 'thread: found the number 7'],
    ['a channel without a platform', '/v1/agents/main/messages', { ...here, channel: ':C1' }, 422, 'channel: found no'],
    ['a thread that is too long', '/v1/agents/main/messages', { ...here, thread: 'x'.repeat(504) }, 422, 'thread'],
    ['a misspelt channel', '/v1/agents/main/messages', { text: 'x', chanel: 'slack:C1' }, 422, 'did you mean channel'],
    ['a wait that is none', '/v1/agents/main/messages?wait=soon', here, 400, 'wait'],
    ['an agent that is none', '/v1/agents/nobody/messages', here, 404, 'agent: found none of this name'],
    ['an agent with a name that is none', '/v1/agents/A/messages', here, 400, 'agent'],
  ])('refuses %s, and stores nothing', async (_title, url, body, status, names) => {
    const { send, stored } = await startRoutes();
    const answer = await send(body, url);
    expect([answer.status, answer.body['detail']]).toEqual([status, expect.stringContaining(names)]);
    expect(stored).toEqual([]);
  });

  it('refuses a message without an author where each user has a session', async () => {
    const { send, stored } = await startRoutes({ scope: 'user' });
    expect(await send(here)).toMatchObject({ status: 422, body: { errors: [{ field: 'author.id' }] } });
    expect((await send({ ...here, author: { id: 'u7' } })).body).toMatchObject({ session: 'slack:user:u7' });
    expect(stored).toHaveLength(1);
  });
});

describe('a resolver among the providers', () => {
  it('picks the session', async () => {
    const { send } = await startRoutes({ resolver: ({ author }) => ({ session: `of ${author?.id}` }) });
    expect((await send({ ...here, author: { id: 'u7' } })).body).toMatchObject({ session: 'of u7' });
  });

  it('fails only for the message that it fails for, and nothing of that is stored', async () => {
    const resolver: LockScopeResolver = ({ thread }) => {
      if (thread === 'slack:C1:9') throw new Error('SECRET');
      return 'channel';
    };
    const { send, stored } = await startRoutes({ resolver });
    const failed = await send(here);
    expect(failed).toMatchObject({ status: 500, body: { code: 'lock-scope-resolver' } });
    expect(JSON.stringify(failed.body)).not.toContain('SECRET');
    expect(stored).toEqual([]);
    expect(await send({ channel: 'slack:C1', text: 'x' })).toMatchObject({
      status: 202,
      body: { session: 'slack:C1' },
    });
  });

  it('is not asked about an agent that is none', async () => {
    let asked = 0;
    const { send } = await startRoutes({ resolver: () => (asked++, 'channel') });
    await send(here, '/v1/agents/nobody/messages');
    expect(asked).toBe(0);
  });

  it('is not asked by the session route, which names its session', async () => {
    let asked = 0;
    const { send, stored } = await startRoutes({ resolver: () => (asked++, 'channel') });
    expect(await send(here, '/v1/agents/main/sessions/s/messages')).toMatchObject({ status: 202 });
    expect([asked, stored[0]?.session]).toEqual([0, 's']);
  });
});
