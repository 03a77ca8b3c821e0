import { Injectable } from '@nestjs/common';
import { DiscoveryService, ExternalContextCreator, MetadataScanner, Reflector } from '@nestjs/core';
import { isObservable, lastValueFrom } from 'rxjs';
import { LanekeeperError } from '#contracts';
import type { TurnHandler } from './handler-answer.js';
import { ON_TURN } from './on-turn.decorator.js';

/** Finds the `@OnTurn` methods of all providers and wraps each in Nest's guards, pipes, interceptors and filters. */
@Injectable()
export class HandlerExplorer {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
    private readonly reflector: Reflector,
    private readonly contexts: ExternalContextCreator,
  ) {}

  /** Name -> handler. Throws when two methods claim one name: which one runs would be chance. */
  explore(): Map<string, TurnHandler> {
    const handlers = new Map<string, TurnHandler>();
    const places = new Map<string, { readonly place: string; readonly callback: unknown }>();
    for (const { instance } of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      if (typeof instance !== 'object' || instance === null) continue;
      for (const method of this.scanner.getAllMethodNames(Object.getPrototypeOf(instance) as object)) {
        const callback = (instance as Record<string, unknown>)[method];
        if (typeof callback !== 'function') continue;
        const name = this.reflector.get<string | undefined>(ON_TURN, callback as () => unknown);
        if (name === undefined) continue;
        const place = `${instance.constructor.name}.${method}`;
        const other = places.get(name);
        // Two classes may have one name; one class may be provided in two modules.
        if (other !== undefined && (other.place !== place || other.callback !== callback)) {
          throw new LanekeeperError(
            'two_handlers',
            `@OnTurn('${name}'): found ${other.place} and ${place}, wanted one; rename or remove one of them`,
          );
        }
        places.set(name, { place, callback });
        handlers.set(name, this.wrap(instance as Record<string, () => unknown>, method));
      }
    }
    return handlers;
  }

  private wrap(instance: Record<string, () => unknown>, method: string): TurnHandler {
    const callback = instance[method] as () => unknown;
    const handler = this.contexts.create(
      instance,
      callback,
      method,
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      'rpc',
    ) as TurnHandler;
    return async (turn) => {
      const answer = await handler(turn);
      // Nest awaits the streams of interceptors here, but hands on the one that a filter for messages answers with.
      return isObservable(answer) ? lastValueFrom(answer, { defaultValue: undefined }) : answer;
    };
  }
}
