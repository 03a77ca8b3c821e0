import { Module, type DynamicModule } from '@nestjs/common';
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

/** Its routes; another role may serve them too, on its own port. */
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
