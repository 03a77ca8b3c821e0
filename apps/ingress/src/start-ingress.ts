import type { DynamicModule, Provider } from '@nestjs/common';
import type { Settings } from '#config';
import { Names } from '#contracts';
import { startHttpApp, type RunningHttpApp } from '#http';
import type { Logger } from '#telemetry';
import { openIngressBroker } from './ingress-broker.client.js';
import { IngressModule } from './ingress.module.js';
import { sendMessageRoute } from './send/messages.controller.js';
import type { ScopeOf } from './sessions/session-chooser.provider.js';

export interface StartIngressOptions {
  readonly settings: Settings;
  readonly natsUrl: string;
  readonly log: Logger;
  /** Providers of your own: a `LOCK_SCOPE_RESOLVER`, and whatever it needs. */
  readonly providers?: readonly Provider[];
  /** Of other roles, to be served on the same port. */
  readonly routes?: readonly DynamicModule[];
  readonly signal?: AbortSignal;
}

export interface RunningIngress {
  /** Where it listens, e.g. `http://127.0.0.1:7070`. */
  readonly url: string;
  /** Resolves when it cannot go on by itself. */
  readonly failed: Promise<Error>;
  /** Takes no further requests, lets those under way end, then closes the connection. */
  stop(): Promise<void>;
}

const DEFAULT_PORT = 7070;

/** Starts the ingress role; resolves when it listens. */
export async function startIngress(options: StartIngressOptions): Promise<RunningIngress> {
  const { settings, log, providers = [], routes = [] } = options;
  const names = new Names(settings.namespace, settings.shards);
  const broker = await openIngressBroker({ ...options, names });
  let app: RunningHttpApp;
  try {
    const { settings: acting } = broker.installation;
    const own = IngressModule.register({
      ...{ ...broker, settings: acting },
      ...{ log, providers, scopeOf: configuredScope(acting) },
    });
    app = await startHttpApp({
      routes: [own, ...routes],
      directRoutes: [sendMessageRoute],
      readiness: { pulse: broker.connection, needs: { inbox: broker.inbox } },
      settings,
      defaultPort: DEFAULT_PORT,
      title: 'Lanekeeper',
      description: 'A durable turn broker for AI agents',
      log,
    });
  } catch (error) {
    await broker.close();
    throw error;
  }
  return {
    url: app.url,
    failed: broker.connection.lost(),
    stop: async () => {
      // From here on no request waits for a turn.
      broker.parts.waiter.stop();
      await app.close();
      await broker.close();
    },
  };
}

/** What a platform's channels have of their own, else what the agent has. */
const configuredScope =
  ({ agents }: Settings): ScopeOf =>
  (agent, platform) =>
    (agents[agent]?.channels[platform] ?? agents[agent])?.lockScope;
