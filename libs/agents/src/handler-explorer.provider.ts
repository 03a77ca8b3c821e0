import { Injectable } from '@nestjs/common';
import { ApplicationConfig, DiscoveryService, ExternalContextCreator, MetadataScanner, Reflector } from '@nestjs/core';
import { isObservable, lastValueFrom } from 'rxjs';
import { LanekeeperError } from '#contracts';
import type { TurnHandler } from './handler-answer.js';
import { hasEnhancers } from './handler-enhancers.provider.js';
import { ON_TURN } from './on-turn.decorator.js';

type Callback = (...args: unknown[]) => unknown;

/**
 * Finds the `@OnTurn` methods of all providers and wraps each in its Nest guards, pipes, interceptors and filters. A
 * method without any is called directly: Nest's wrapper would add a dozen promises to each turn.
 */
@Injectable()
export class HandlerExplorer {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
    private readonly reflector: Reflector,
    private readonly contexts: ExternalContextCreator,
    private readonly config: ApplicationConfig,
  ) {}

  /** Name -> handler. Throws when two methods have the same name, because it would be unclear which one runs. */
  explore(): Map<string, TurnHandler> {
    const handlers = new Map<string, TurnHandler>();
    const places = new Map<string, { readonly place: string; readonly callback: unknown }>();
    const wrappers = [...this.discovery.getProviders(), ...this.discovery.getControllers()];
    const provided = wrappers.map(({ metatype }) => metatype).filter((metatype) => typeof metatype === 'function');
    for (const { instance } of wrappers) {
      if (typeof instance !== 'object' || instance === null) continue;
      for (const method of this.scanner.getAllMethodNames(Object.getPrototypeOf(instance) as object)) {
        const callback = (instance as Record<string, Callback | undefined>)[method];
        if (typeof callback !== 'function') continue;
        const name = this.reflector.get<string | undefined>(ON_TURN, callback);
        if (name === undefined) continue;
        const place = `${instance.constructor.name}.${method}`;
        const other = places.get(name);
        // Two classes may share a name, and one class may be provided in two modules.
        if (other !== undefined && (other.place !== place || other.callback !== callback)) {
          throw new LanekeeperError(
            'two_handlers',
            `@OnTurn('${name}'): found ${other.place} and ${place}, wanted one; rename or remove one of them`,
          );
        }
        places.set(name, { place, callback });
        const prototype = Object.getPrototypeOf(instance) as object;
        const classes = [instance.constructor, ...provided.filter((metatype) => metatype.prototype === prototype)];
        const isEnhanced = hasEnhancers({ classes, method, callback }, this.config);
        handlers.set(name, isEnhanced ? this.enhanced(instance, callback, method) : plain(instance, callback));
      }
    }
    return handlers;
  }

  private enhanced(instance: object, callback: Callback, method: string): TurnHandler {
    const handler = this.contexts.create(
      instance as Record<string, Callback>,
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
      // Nest awaits the streams of interceptors, but passes on the stream that an RPC exception filter returns.
      return isObservable(answer) ? lastValueFrom(answer, { defaultValue: undefined }) : answer;
    };
  }
}

/** Like `enhanced`, without enhancers: the same answers and the same errors. */
function plain(instance: object, callback: Callback): TurnHandler {
  return async (turn) => {
    const answer = await callback.call(instance, turn);
    if (!isObservable(answer)) return answer;
    const last = await lastValueFrom(answer);
    return isObservable(last) ? lastValueFrom(last, { defaultValue: undefined }) : last;
  };
}
