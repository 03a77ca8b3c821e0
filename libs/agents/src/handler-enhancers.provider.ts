import {
  EXCEPTION_FILTERS_METADATA,
  GUARDS_METADATA,
  INTERCEPTORS_METADATA,
  PIPES_METADATA,
  ROUTE_ARGS_METADATA,
} from '@nestjs/common/constants.js';
import type { ApplicationConfig } from '@nestjs/core';
import { RethrowFilter } from './rethrow.filter.js';

const ENHANCERS = [GUARDS_METADATA, PIPES_METADATA, INTERCEPTORS_METADATA, EXCEPTION_FILTERS_METADATA] as const;

/** A method as Nest looks at it. */
export interface HandlerPlace {
  /** Every class whose decorators may mean it: a decorator of a class may have put another one in its place. */
  readonly classes: readonly object[];
  readonly method: string;
  readonly callback: object;
}

/**
 * Whether anything of Nest's stands around a handler: guards, pipes, interceptors and filters of the method, of its class,
 * of a parameter, or of the whole application, per request or not. Where this says no although there is one, a guard would
 * be passed by without a word: in doubt it says yes, and the handler is only slower.
 */
export function hasEnhancers(handler: HandlerPlace, config: ApplicationConfig): boolean {
  return hasGlobal(config) || hasOwn(handler);
}

function hasOwn({ classes, method, callback }: HandlerPlace): boolean {
  return (
    ENHANCERS.some((key) => [callback, ...classes].some((place) => Reflect.hasMetadata(key, place))) ||
    classes.some((place) => Reflect.hasMetadata(ROUTE_ARGS_METADATA, place, method))
  );
}

function hasGlobal(config: ApplicationConfig): boolean {
  return (
    [
      config.getGlobalGuards(),
      config.getGlobalPipes(),
      config.getGlobalInterceptors(),
      config.getGlobalRequestGuards(),
      config.getGlobalRequestPipes(),
      config.getGlobalRequestInterceptors(),
      config.getGlobalRequestFilters(),
    ].some((enhancers) => enhancers.length > 0) || !onlyRethrows(config.getGlobalFilters())
  );
}

/** Ours alone changes nothing. Without it Nest's own last filter would write to the log what was thrown. */
function onlyRethrows(filters: readonly object[]): boolean {
  return filters.length > 0 && filters.every((filter) => filter.constructor === RethrowFilter);
}
