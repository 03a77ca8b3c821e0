import { NestFactory } from '@nestjs/core';
import type { INestMicroservice } from '@nestjs/common';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Names, type GuardReply } from '#contracts';
import { GuardClient } from '#guards';
import { connectedBroker, expectNothingLeft, until, type ConnectedBroker } from '#testing';
import { silentLogger } from '#telemetry';
import { GuardMessagesModule } from './guard.module.js';
import { GuardServer } from './guard.server.js';
import { TaskCalls, type TaskGuardPort } from './task-calls.provider.js';

const names = new Names('lk', 64);
const acquire = { requestId: 'q', runId: 'r' };

let on: ConnectedBroker;
const apps: INestMicroservice[] = [];

beforeAll(async () => void (on = await connectedBroker()));
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});
afterAll(async () => {
  await on[Symbol.asyncDispose]();
  await expectNothingLeft();
});

/** A replica that puts its name into its answers. */
async function replica(owner: string, of = names, more: Partial<TaskGuardPort> = {}) {
  const asked: unknown[] = [];
  const answer = { kind: 'already_running' as const, runId: 'x', startedAt: 1, expiresAt: 2, own: false, owner };
  const guard = { acquire: (...call: unknown[]) => (asked.push(call), Promise.resolve(answer)), ...more };
  const calls = new TaskCalls(guard as unknown as TaskGuardPort, silentLogger);
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(GuardMessagesModule.register(calls), {
    ...{ strategy: new GuardServer(on.connection, of), logger: false, abortOnError: false },
  });
  apps.push(app);
  await app.listen();
  await on.connection.nc.flush();
  return { asked, app };
}

async function request(body: string, subject = 'lk.guard.tasks.acquire'): Promise<GuardReply<{ owner?: string }>> {
  const message = await on.connection.nc.request(subject, body, { timeout: 2_000 });
  return message.json();
}

const call = (key: string) => JSON.stringify({ key, request: acquire, validUntil: Date.now() + 1_000 });

describe('the guard over NATS', () => {
  it('accepts and answers plain JSON, as a program in any language sends it', async () => {
    const { asked } = await replica('a');
    expect(await request(call('k'))).toMatchObject({ ok: true, answer: { kind: 'already_running', owner: 'a' } });
    expect(asked).toEqual([['k', acquire, expect.any(Number)]]);
    const client = new GuardClient(on.connection, names);
    expect(await client.acquire('k', acquire)).toMatchObject({ owner: 'a' });
  });

  it.each(['', '{', 'null', '[]', '"x"', '{"pattern": "acquire", "data": {}, "id": "1"}'])(
    'answers an invalid request with the missing fields: %j',
    async (body) => {
      await replica('a');
      const told = { ok: false, code: 'refused', message: expect.stringContaining('body: found nothing') };
      expect(await request(body)).toMatchObject(told);
    },
  );

  it('answers a request that fails, too', async () => {
    await replica('a', names, { renew: () => Promise.reject(new Error('the bucket is away')) });
    const body = JSON.stringify({ key: 'k', request: { token: 1 } });
    const told = { ok: false, code: 'unavailable', message: 'the bucket is away' };
    expect(await request(body, 'lk.guard.tasks.renew')).toEqual(told);
  });

  it('handles each request once, whatever the number of replicas', async () => {
    const replicas = [await replica('a'), await replica('b'), await replica('c')];
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => request(call(`k${i}`))));
    expect(answers.every(({ ok }) => ok)).toBe(true);
    const heard = replicas.map(({ asked }) => asked.length);
    expect(heard.reduce((sum, n) => sum + n)).toBe(60);
    expect(heard.filter((n) => n > 0).length).toBeGreaterThan(1);
  });

  it('executes a request without a reply subject', async () => {
    const { asked } = await replica('a');
    on.connection.nc.publish('lk.guard.tasks.acquire', call('quiet'));
    await until('it is done', () => asked.length === 1);
    expect(asked).toEqual([['quiet', acquire, expect.any(Number)]]);
  });

  it('each of two installations on one broker gets its own requests', async () => {
    const [here, there] = [await replica('here'), await replica('there', new Names('other', 64))];
    expect(await request(call('k'))).toMatchObject({ answer: { owner: 'here' } });
    expect(await request(call('k'), 'other.guard.tasks.acquire')).toMatchObject({ answer: { owner: 'there' } });
    expect([here.asked.length, there.asked.length]).toEqual([1, 1]);
  });

  it('accepts nothing after its close, answers earlier requests, and leaves the connection open', async () => {
    const gate = Promise.withResolvers<object>();
    const begun = Promise.withResolvers<void>();
    const { app } = await replica('a', names, {
      renew: (() => (begun.resolve(), gate.promise)) as unknown as TaskGuardPort['renew'],
    });
    const answer = request(JSON.stringify({ key: 'k', request: { token: 1 } }), 'lk.guard.tasks.renew');
    await begun.promise;
    await app.close();
    await expect(request(call('k'))).rejects.toThrow(/no responders/i);
    gate.resolve({ kind: 'renewed', expiresAt: 5 });
    expect(await answer).toEqual({ ok: true, answer: { kind: 'renewed', expiresAt: 5 } });
    expect(on.connection.nc.isClosed()).toBe(false);
    // Another server on the same connection still gets requests.
    await replica('b');
    expect(await request(call('k'))).toMatchObject({ answer: { owner: 'b' } });
  });
});
