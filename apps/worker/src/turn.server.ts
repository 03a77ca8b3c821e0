import { Server, type CustomTransportStrategy } from '@nestjs/microservices';
import { LanekeeperError } from '#contracts';
import type { TurnHandler } from '#agents';

/** What the strategy starts and stops: reading, running and committing turns. */
export interface TurnIntake {
  /** `handlers`: agent name -> handler. */
  start(handlers: ReadonlyMap<string, TurnHandler>): Promise<void>;
  /** Takes nothing more, lets what runs come to its end within the drain budget. Safe to call twice. */
  stop(): Promise<void>;
}

/** The agents of the settings: which handler runs the turns of which agent. */
export type AgentHandlers = Readonly<Record<string, { readonly handler?: string | undefined }>>;

/**
 * Nest's transport for turns: patterns are the names of `@OnTurn` handlers. Nest calls `listen` when the providers are
 * made and `close` first of all when it stops, so that running turns still have every provider.
 */
export class TurnServer extends Server implements CustomTransportStrategy {
  override transportId = Symbol('lanekeeper');

  constructor(
    private readonly intake: TurnIntake,
    private readonly agents: AgentHandlers,
  ) {
    super();
  }

  listen(callback: (error?: unknown) => void): void {
    // An error has to go to the callback: thrown, it would leave `app.listen()` waiting for ever.
    this.start().then(
      () => callback(),
      (error: unknown) => callback(error),
    );
  }

  async close(): Promise<void> {
    await this.intake.stop();
  }

  on(): never {
    throw new Error('this transport has no events of its own');
  }

  unwrap<T>(): T {
    return this.intake as T;
  }

  private async start(): Promise<void> {
    await this.intake.start(this.bindAgents());
    this._status$.next('connected');
  }

  /** Every configured agent has exactly one handler, or the worker does not start. */
  private bindAgents(): Map<string, TurnHandler> {
    const bound = new Map<string, TurnHandler>();
    const lacking: string[] = [];
    for (const [agent, settings] of Object.entries(this.agents)) {
      const handler = settings.handler ?? this.defaultHandler(agent);
      const found = this.messageHandlers.get(handler);
      if (found === undefined) lacking.push(`agents.${agent}.handler: found no @OnTurn('${handler}')`);
      else bound.set(agent, found as unknown as TurnHandler);
    }
    if (lacking.length > 0) {
      const known = [...this.messageHandlers.keys()].join(', ') || 'none';
      throw new LanekeeperError(
        'no_handler',
        `${lacking.join('; ')}; wanted one of ${known}. Name one of them, or add the provider to the worker's module`,
      );
    }
    return bound;
  }

  /** The handler of the agent's own name; `main` answers with the echo until somebody gives it a handler. */
  private defaultHandler(agent: string): string {
    return agent === 'main' && !this.messageHandlers.has(agent) ? 'echo' : agent;
  }
}
