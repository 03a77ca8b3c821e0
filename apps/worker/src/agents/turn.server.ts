import { Server, type CustomTransportStrategy } from '@nestjs/microservices';
import type { Turn, TurnHandler } from '#agents';
import type { AgentSettings } from '#config';
import { LanekeeperError } from '#contracts';
import { queueingOf } from './agent-queueing.js';
import type { BoundAgent } from './agent-runner.js';

/** What the transport starts and stops: reading messages, running turns, committing results. */
export interface TurnLifecycle {
  start(agents: ReadonlyMap<string, BoundAgent>): Promise<void>;
  /** Takes no more messages. Running turns may end within the drain budget. Safe to call twice. */
  stop(): Promise<void>;
}

/** The agents of the settings, and how to call those that run outside this process. */
export interface ConfiguredAgents {
  readonly agents: Readonly<Record<string, AgentSettings>>;
  /** Whether the worker starts without this agent's handler. Default: it does not. */
  readonly mayLack?: (agent: string) => boolean;
  /** Called for each agent that this worker cannot run, with what it lacks. */
  readonly onLeftOut?: (agent: string, lacks: string) => void;
  readonly callOutside: (turn: Turn, settings: AgentSettings & { readonly url: string }) => Promise<unknown>;
}

/**
 * Nest's transport for turns. Its patterns are the names of `@OnTurn` handlers. Nest calls `listen` after all providers
 * are made, and `close` before it destroys any, so running turns still have every provider.
 */
export class TurnServer extends Server implements CustomTransportStrategy {
  override transportId = Symbol('lanekeeper');

  constructor(
    private readonly lifecycle: TurnLifecycle,
    private readonly configured: ConfiguredAgents,
  ) {
    super();
  }

  listen(callback: (error?: unknown) => void): void {
    // Pass errors to the callback. If `listen` threw, `app.listen()` would never settle.
    this.start().then(
      () => callback(),
      (error: unknown) => callback(error),
    );
  }

  async close(): Promise<void> {
    await this.lifecycle.stop();
  }

  on(): never {
    throw new Error('this transport has no events of its own');
  }

  unwrap<T>(): T {
    return this.lifecycle as T;
  }

  private async start(): Promise<void> {
    await this.lifecycle.start(this.bindAgents());
    this._status$.next('connected');
  }

  /**
   * Every configured agent needs exactly one handler, or the worker does not start. An agent that only the shared
   * settings name may lack its handler or its secrets here: other workers may have them.
   */
  private bindAgents(): Map<string, BoundAgent> {
    const bound = new Map<string, BoundAgent>();
    const lacking: string[] = [];
    for (const [agent, settings] of Object.entries(this.configured.agents)) {
      if (settings.lacks !== undefined) {
        this.configured.onLeftOut?.(agent, settings.lacks);
        continue;
      }
      const handler = this.handlerOf(agent, settings);
      if (typeof handler === 'string' && this.configured.mayLack?.(agent) === true) {
        this.configured.onLeftOut?.(agent, `@OnTurn('${handler}')`);
      } else if (typeof handler === 'string') lacking.push(`agents.${agent}.handler: found no @OnTurn('${handler}')`);
      else
        bound.set(agent, {
          handler,
          policy: settings,
          queueing: queueingOf(settings),
          isOutside: settings.url !== undefined,
        });
    }
    if (lacking.length > 0) {
      const known = [...this.messageHandlers.keys()].join(', ') || 'none';
      throw new LanekeeperError(
        'no_handler',
        `${lacking.join('; ')}; wanted one of ${known}. Name one of them, set agents.<name>.url, or add the provider to ` +
          "the worker's module",
      );
    }
    return bound;
  }

  /** The agent's handler, or the name under which none was found. */
  private handlerOf(agent: string, settings: AgentSettings): TurnHandler | string {
    const { url } = settings;
    if (url !== undefined) return (turn) => this.configured.callOutside(turn, { ...settings, url });
    const name = settings.handler ?? this.defaultHandler(agent);
    return (this.messageHandlers.get(name) as TurnHandler | undefined) ?? name;
  }

  /** The handler with the agent's own name. `main` falls back to `echo` while no handler has that name. */
  private defaultHandler(agent: string): string {
    return agent === 'main' && !this.messageHandlers.has(agent) ? 'echo' : agent;
  }
}
