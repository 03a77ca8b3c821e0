import { randomBytes } from 'node:crypto';
import { NestFactory } from '@nestjs/core';
import type { INestMicroservice, Provider } from '@nestjs/common';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { hostWorkerId, type Settings } from '#config';
import { AgentConnections, callHttpAgent } from '#agents';
import { Names, systemClock } from '#contracts';
import { NestLogger, type Logger } from '#telemetry';
import { reachableAgents, type ReachableAgents } from './agents/reachable-agents.js';
import { TurnServer } from './agents/turn.server.js';
import { WorkerLifecycle } from './worker-lifecycle.js';
import { WorkerModule } from './worker.module.js';
import { openWorkerBroker } from './worker-broker.client.js';

export interface StartWorkerOptions {
  readonly settings: Settings;
  readonly natsUrl: string;
  readonly log: Logger;
  /** Providers with `@OnTurn` methods, and their dependencies. */
  readonly providers?: readonly Provider[];
  readonly signal?: AbortSignal;
}

export interface RunningWorker {
  /** Resolves when the worker cannot continue without a restart. */
  readonly failed: Promise<Error>;
  /** Gives its shards away, drains running turns, then closes the connection. */
  stop(): Promise<void>;
}

/** Starts the worker role. Resolves when the worker reads the shards that are free for it. */
export async function startWorker(options: StartWorkerOptions): Promise<RunningWorker> {
  const { settings, log } = options;
  const names = new Names(settings.namespace, settings.shards);
  const workerId = settings.worker.id ?? hostWorkerId(`-${process.pid}`);
  // One life of this process. A restart under the same id is a new incarnation.
  const incarnation = `${workerId}/${randomBytes(6).toString('hex')}`;
  const broker = await openWorkerBroker({ ...options, names, workerId, incarnation });
  const { settings: acting, version: settingsVersion } = broker.installation;
  const isToldOf = (agent: string): boolean => Object.hasOwn(settings.shared.agents ?? {}, agent);
  let reachable: ReachableAgents;
  try {
    reachable = reachableAgents(acting.agents, isToldOf);
  } catch (error) {
    await broker.close();
    throw error;
  }
  const { agents, targets } = reachable;
  const lifecycle = new WorkerLifecycle({
    drainMs: settings.drainMs,
    clock: systemClock,
    log,
    makeParts: (agents) => broker.makeParts(agents),
  });
  const connections = new AgentConnections(settings.worker.capacity);
  const leftOut = new Set<string>();
  const server = new TurnServer(lifecycle, {
    agents,
    mayLack: (agent) => !isToldOf(agent),
    onLeftOut: (agent, lacks) => {
      leftOut.add(agent);
      log.warn({ agent, lacks }, 'this worker cannot run an agent; its messages wait for a worker that can');
    },
    callOutside: (turn, agent) =>
      callHttpAgent(turn, { ...agent, headers: {}, ...targets.get(turn.agent) }, connections),
  });
  let app: INestMicroservice | undefined;
  try {
    app = await NestFactory.createMicroservice<MicroserviceOptions>(
      WorkerModule.register({ server, ...(options.providers === undefined ? {} : { providers: options.providers }) }),
      { strategy: server, logger: new NestLogger(log), abortOnError: false },
    );
    await app.listen();
  } catch (error) {
    await app?.close().catch(() => {});
    await connections.close();
    await broker.close();
    throw error;
  }
  const known = Object.keys(acting.agents).filter((agent) => !leftOut.has(agent));
  log.info({ worker: incarnation, agents: known, settingsVersion }, 'worker reads its shards');
  const running = app;
  return {
    failed: broker.failed,
    stop: async () => {
      await running.close();
      await connections.close();
      await broker.close();
    },
  };
}
