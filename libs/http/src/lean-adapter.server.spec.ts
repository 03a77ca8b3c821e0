import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { expect, it } from 'vitest';
import { LeanAdapter } from './lean-adapter.server.js';

@Controller('things')
class ThingsController {
  @Get()
  list(): object {
    return {};
  }
}

@Module({ controllers: [ThingsController] })
class ThingsModule {}

const createApp = (adapter: FastifyAdapter): Promise<NestFastifyApplication> =>
  NestFactory.create<NestFastifyApplication>(ThingsModule, adapter, { logger: false });

it('a hook behind each response runs there when one is set', async () => {
  const adapter = new LeanAdapter({});
  const ended: string[] = [];
  adapter.setOnResponseHook((request, reply, done) => {
    ended.push(`${request.url} ${reply.statusCode}`);
    done();
  });
  const app = await createApp(adapter);
  await app.init();
  const { statusCode } = await app.inject({ method: 'GET', url: '/things' });
  expect([statusCode, ended]).toEqual([200, ['/things 200']]);
  await app.close();
});

it("a response has one listener less than with Nest's adapter", async () => {
  expect(await listenersOfResponse(new LeanAdapter({}))).toBe((await listenersOfResponse(new FastifyAdapter())) - 1);
});

async function listenersOfResponse(adapter: FastifyAdapter): Promise<number> {
  const app = await createApp(adapter);
  let count = Number.NaN;
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('preHandler', (_request, reply, done) => {
    count = reply.raw.listenerCount('error');
    done();
  });
  await app.init();
  await app.inject({ method: 'GET', url: '/things' });
  await app.close();
  return count;
}
