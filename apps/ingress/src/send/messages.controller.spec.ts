import { Scope, type Provider } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { afterEach, describe, expect, it } from 'vitest';
import { Names, type InboxMessage, type SessionTokens } from '#contracts';
import { startHttpApp, type RunningHttpApp } from '#http';
import { silentLogger } from '#telemetry';
import { IngressModule, type IngressModuleOptions } from '../ingress.module.js';
import { LOCK_SCOPE_RESOLVER } from '../sessions/lock-scope-resolver.js';
import { sendMessageRoute } from './messages.controller.js';

const running: RunningHttpApp[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
});

/** The routes over an inbox that only notes what it is given, and how often Nest was passed by. */
async function startRoutes(providers: readonly Provider[] = []) {
  const stored: { readonly session: string; readonly message: InboxMessage }[] = [];
  let directCalls = 0;
  const parts = {
    names: new Names('lk', 64),
    agents: ['main'],
    inbox: {
      store: (key: SessionTokens, message: InboxMessage) => {
        stored.push({ session: key.sessionToken, message });
        return Promise.resolve({ seq: 5, duplicate: false });
      },
    },
  };
  const options = {
    ...{ parts, deadLetters: {}, workers: {}, log: silentLogger, scopeOf: () => undefined },
    providers,
  } as unknown as IngressModuleOptions;
  const app = await startHttpApp({
    routes: [IngressModule.register(options)],
    directRoutes: [{ ...sendMessageRoute, call: (...args) => (directCalls++, sendMessageRoute.call(...args)) }],
    readiness: { pulse: { isUp: true, roundTrip: () => Promise.resolve(1) } },
    settings: { http: { host: '127.0.0.1' }, drainMs: 100 },
    defaultPort: 0,
    title: 'Lanekeeper',
    description: 'A durable turn broker for AI agents',
    log: silentLogger,
  });
  running.push(app);
  const send = async (body: object) => {
    const headers = { 'content-type': 'application/json' };
    const url = `${app.url}/v1/agents/main/sessions/a%2Fb/messages`;
    const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };
  return { send, stored, directCalls: () => directCalls };
}

describe('POST /v1/agents/{agent}/sessions/{session}/messages', () => {
  it("passes Nest's machinery by", async () => {
    const { send, stored, directCalls } = await startRoutes();
    expect(await send({ id: 'm1', text: 'x' })).toEqual({
      status: 202,
      body: { messageId: 'm1', seq: 5, duplicate: false },
    });
    expect(stored).toEqual([{ session: 'a=2Fb', message: { v: 1, kind: 'message', id: 'm1', text: 'x' } }]);
    expect(await send({ id: 'm1' })).toMatchObject({ status: 422, body: { code: 'invalid-body' } });
    expect(directCalls()).toBe(2);
  });

  it.each<[string, Provider, number]>([
    ['a guard of their own', { provide: APP_GUARD, useValue: { canActivate: () => false } }, 403],
    [
      'a resolver that is made for each request',
      { provide: LOCK_SCOPE_RESOLVER, useFactory: () => () => 'thread', scope: Scope.REQUEST },
      202,
    ],
  ])('leaves it to Nest where the providers of startIngress hold %s', async (_title, provider, status) => {
    const { send, directCalls } = await startRoutes([provider]);
    expect((await send({ text: 'x' })).status).toBe(status);
    expect(directCalls()).toBe(0);
  });
});
