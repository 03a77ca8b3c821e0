import { Controller, Get, Module } from '@nestjs/common';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { expect, it } from 'vitest';
import { notFound } from '#http';
import { silentLogger } from '#telemetry';
import { IngressModule, type IngressModuleOptions } from './ingress.module.js';

@Controller('v1/things')
class ThingsController {
  @Get()
  thing(): object {
    throw notFound('thing', 'there is none');
  }
}

@Module({})
class ThingsModule {}

it('serves the routes of another role beside its own, with the same problems', async () => {
  const options = {
    ...{ parts: {}, pulse: {}, inbox: {}, deadLetters: {}, workers: {}, log: silentLogger, scopeOf: () => undefined },
    imports: [{ module: ThingsModule, controllers: [ThingsController] }],
  } as unknown as IngressModuleOptions;
  const module = await Test.createTestingModule({ imports: [IngressModule.register(options)] }).compile();
  const app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter(), { logger: false });
  try {
    await app.init();
    const thing = await app.inject({ method: 'GET', url: '/v1/things' });
    expect(thing.statusCode).toBe(404);
    expect(thing.json()).toMatchObject({ code: 'not-found', detail: 'there is none' });
    expect((await app.inject({ method: 'GET', url: '/healthz' })).statusCode).toBe(200);
  } finally {
    await app.close();
  }
});
