import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { HealthIndicatorService, TerminusModule } from '@nestjs/terminus';
import type { Logger } from '#telemetry';
import { BrokerIndicator, type BrokerPulse } from './broker.indicator.js';
import { CancelService } from './cancel.provider.js';
import { DeadController } from './dead.controller.js';
import { DeadLetterService } from './dead-letter.provider.js';
import type { DeadLetters } from './dead-letters.client.js';
import { HealthController } from './health.controller.js';
import { InboxIndicator, type InboxPulse } from './inbox.indicator.js';
import { IntakeService, type IntakeParts } from './intake.provider.js';
import { MessagesController } from './messages.controller.js';
import { ProblemFilter } from './problem.filter.js';
import { RunsController } from './runs.controller.js';
import { SessionsController } from './sessions.controller.js';
import { WorkerDirectory } from './worker-directory.client.js';
import { WorkersController } from './workers.controller.js';

export interface IngressModuleOptions {
  readonly parts: IntakeParts;
  readonly pulse: BrokerPulse;
  readonly inbox: InboxPulse;
  readonly deadLetters: DeadLetters;
  readonly workers: WorkerDirectory;
  readonly log: Logger;
}

@Module({})
export class IngressModule {
  static register({ parts, pulse, inbox, deadLetters, workers, log }: IngressModuleOptions): DynamicModule {
    return {
      module: IngressModule,
      imports: [TerminusModule.forRoot({ logger: false })],
      controllers: [
        MessagesController,
        SessionsController,
        RunsController,
        DeadController,
        WorkersController,
        HealthController,
      ],
      providers: [
        { provide: DeadLetterService, useFactory: () => new DeadLetterService(deadLetters) },
        { provide: IntakeService, useFactory: () => new IntakeService(parts) },
        { provide: CancelService, useFactory: () => new CancelService(parts) },
        {
          provide: BrokerIndicator,
          useFactory: (indicators: HealthIndicatorService) => new BrokerIndicator(indicators, pulse),
          inject: [HealthIndicatorService],
        },
        {
          provide: InboxIndicator,
          useFactory: (indicators: HealthIndicatorService) => new InboxIndicator(indicators, inbox),
          inject: [HealthIndicatorService],
        },
        { provide: WorkerDirectory, useFactory: () => workers },
        { provide: APP_FILTER, useFactory: () => new ProblemFilter(log) },
      ],
    };
  }
}
