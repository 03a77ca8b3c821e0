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

/** A handler method, as Nest sees it. */
export interface HandlerPlace {
  /** All classes whose decorators may apply: a class decorator may have replaced the original class. */
  readonly classes: readonly object[];
  readonly method: string;
  readonly callback: object;
}

/**
 * Whether Nest runs anything around a handler: guards, pipes, interceptors or filters of the method, its class, a
 * parameter or the whole application, per request or not. A wrong "no" would bypass a guard silently. So in doubt the
 * answer is yes, and the handler is only slower.
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

/** Our filter alone changes nothing. Without it, Nest's default filter would log what was thrown. */
function onlyRethrows(filters: readonly object[]): boolean {
  return filters.length > 0 && filters.every((filter) => filter.constructor === RethrowFilter);
}
