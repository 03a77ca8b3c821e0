import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { HealthIndicatorService, TerminusModule } from '@nestjs/terminus';
import type { Logger } from '#telemetry';
import { HealthController } from './health.controller.js';
import { ProblemFilter } from './problem.filter.js';
import { Readiness, type ReadinessParts } from './readiness.indicator.js';

export interface HttpAppParts {
  /** Routes of one role, or of several on one port. */
  readonly routes: readonly DynamicModule[];
  readonly readiness: ReadinessParts;
  readonly log: Logger;
}

/** What every role serves besides its own routes: health, and errors as problem+json. */
@Module({})
export class HttpAppModule {
  static register({ routes, readiness, log }: HttpAppParts): DynamicModule {
    return {
      module: HttpAppModule,
      imports: [TerminusModule.forRoot({ logger: false }), ...routes],
      controllers: [HealthController],
      providers: [
        {
          provide: Readiness,
          useFactory: (indicators: HealthIndicatorService) => new Readiness(indicators, readiness),
          inject: [HealthIndicatorService],
        },
        { provide: APP_FILTER, useFactory: () => new ProblemFilter(log) },
      ],
    };
  }
}
