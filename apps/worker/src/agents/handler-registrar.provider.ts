import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HandlerExplorer } from '#agents';
import { TurnServer } from './turn.server.js';

/** Registers the handlers of all providers at the transport before it listens. */
@Injectable()
export class HandlerRegistrar implements OnModuleInit {
  constructor(
    private readonly explorer: HandlerExplorer,
    private readonly server: TurnServer,
  ) {}

  onModuleInit(): void {
    for (const [name, handler] of this.explorer.explore()) {
      this.server.addHandler(name, handler as unknown as Parameters<TurnServer['addHandler']>[1]);
    }
  }
}
