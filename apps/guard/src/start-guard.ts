import type { DynamicModule, INestMicroservice } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { MicroserviceOptions } from '@nestjs/microservices';
import type { Settings } from '#config';
import { Names } from '#contracts';
import { startHttpApp, type RunningHttpApp } from '#http';
import { NestLogger, type Logger } from '#telemetry';
import { openGuardBroker, type GuardBroker } from './guard-broker.client.js';
import { GuardServer } from './guard.server.js';
import { GuardMessagesModule, GuardRoutesModule } from './guard.module.js';
import { TaskCalls } from './task-calls.provider.js';

export interface StartGuardOptions {
  readonly settings: Settings;
  readonly natsUrl: string;
  readonly log: Logger;
  readonly signal?: AbortSignal;
}

export interface RunningGuard {
  /** Where it listens, e.g. `http://127.0.0.1:7071`. */
  readonly url: string;
  /** Resolves when it cannot continue. */
  readonly failed: Promise<Error>;
  /** Accepts no further requests, answers those in progress, then closes the connection. */
  stop(): Promise<void>;
}

/** Like `RunningGuard`, without a port of its own. */
export interface GuardWithoutPort extends Omit<RunningGuard, 'url'> {
  /** Its routes, for the application of another role. */
  readonly routes: DynamicModule;
}

const DEFAULT_PORT = 7071;

/** Starts the guard role, over NATS and over HTTP. Resolves when it answers both ways. */
export async function startGuard(options: StartGuardOptions): Promise<RunningGuard> {
  const { settings, log } = options;
  const { guard, broker } = await startAnswering(options);
  let http: RunningHttpApp;
  try {
    http = await startHttpApp({
      routes: [guard.routes],
      readiness: { pulse: broker.connection },
      ...{ settings, log, defaultPort: DEFAULT_PORT },
      title: 'Lanekeeper guard',
      description: 'At most one running task per key, and no second try without approval',
    });
  } catch (error) {
    await guard.stop();
    throw error;
  }
  return {
    url: http.url,
    failed: guard.failed,
    stop: async () => {
      await http.close();
      await guard.stop();
    },
  };
}

/** Starts the guard over NATS alone; the caller serves its routes on a port of its own. */
export async function startGuardWithoutPort(options: StartGuardOptions): Promise<GuardWithoutPort> {
  return (await startAnswering(options)).guard;
}

async function startAnswering(options: StartGuardOptions): Promise<{ guard: GuardWithoutPort; broker: GuardBroker }> {
  const { settings, log } = options;
  const names = new Names(settings.namespace, settings.shards);
  const broker = await openGuardBroker({ ...options, names });
  const calls = new TaskCalls(broker.guard, log);
  let app: INestMicroservice | undefined;
  try {
    app = await NestFactory.createMicroservice<MicroserviceOptions>(GuardMessagesModule.register(calls), {
      strategy: new GuardServer(broker.connection, names),
      logger: new NestLogger(log),
      abortOnError: false,
    });
    await app.listen();
    // Until the broker has the subscriptions, a request finds no responder.
    await broker.connection.nc.flush();
  } catch (error) {
    await app?.close().catch(() => {});
    await broker.close();
    throw error;
  }
  log.info({}, 'guard answers');
  const running = app;
  const stop = async (): Promise<void> => {
    await running.close();
    await calls.whenIdle();
    await broker.close();
  };
  const routes = GuardRoutesModule.register(calls, broker);
  return { broker, guard: { routes, failed: broker.connection.lost(), stop } };
}
