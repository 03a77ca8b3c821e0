import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { HealthIndicatorService, TerminusModule } from '@nestjs/terminus';
import { BrokerIndicator, ProblemFilter, type BrokerPulse } from '#http';
import type { Logger } from '#telemetry';
import { GuardHealthController } from './guard-health.controller.js';
import { TaskCalls } from './task-calls.provider.js';
import { TaskMessagesController } from './task-messages.controller.js';
import { TaskService, type TaskServiceParts } from './task-service.provider.js';
import { TasksController } from './tasks.controller.js';

/** The guard over NATS. */
@Module({})
export class GuardMessagesModule {
  static register(calls: TaskCalls): DynamicModule {
    return {
      module: GuardMessagesModule,
      controllers: [TaskMessagesController],
      providers: [{ provide: TaskCalls, useValue: calls }],
    };
  }
}

/** Its routes; they may stand beside another role's, on the same port. */
@Module({})
export class GuardRoutesModule {
  static register(calls: TaskCalls, parts: TaskServiceParts): DynamicModule {
    return {
      module: GuardRoutesModule,
      controllers: [TasksController],
      providers: [{ provide: TaskService, useFactory: () => new TaskService(calls, parts) }],
    };
  }
}

/** Its routes on a port of its own. */
@Module({})
export class GuardHttpModule {
  static register({ routes, pulse, log }: { routes: DynamicModule; pulse: BrokerPulse; log: Logger }): DynamicModule {
    return {
      module: GuardHttpModule,
      imports: [TerminusModule.forRoot({ logger: false }), routes],
      controllers: [GuardHealthController],
      providers: [
        {
          provide: BrokerIndicator,
          useFactory: (indicators: HealthIndicatorService) => new BrokerIndicator(indicators, pulse),
          inject: [HealthIndicatorService],
        },
        { provide: APP_FILTER, useFactory: () => new ProblemFilter(log) },
      ],
    };
  }
}
