import { Module, type DynamicModule, type Provider, type Type } from '@nestjs/common';
import { APP_FILTER, DiscoveryModule } from '@nestjs/core';
import { EchoAgent, HandlerExplorer, RethrowFilter } from '#agents';
import { HandlerRegistrar } from './agents/handler-registrar.provider.js';
import { TurnServer } from './agents/turn.server.js';

export interface WorkerModuleOptions {
  readonly server: TurnServer;
  /** Providers with `@OnTurn` methods, and their dependencies. */
  readonly providers?: readonly Provider[];
  readonly imports?: readonly (Type | DynamicModule)[];
}

/** The worker's Nest module: built-in agents and the user's agents. */
@Module({})
export class WorkerModule {
  static register({ server, providers = [], imports = [] }: WorkerModuleOptions): DynamicModule {
    return {
      module: WorkerModule,
      imports: [DiscoveryModule, ...imports],
      providers: [
        { provide: TurnServer, useValue: server },
        { provide: APP_FILTER, useClass: RethrowFilter },
        HandlerExplorer,
        HandlerRegistrar,
        EchoAgent,
        ...providers,
      ],
    };
  }
}
