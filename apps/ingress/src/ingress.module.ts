import { Module, type DynamicModule, type Provider } from '@nestjs/common';
import type { TaskLookup, TaskSettings } from '#guards';
import type { Logger } from '#telemetry';
import { CancelService } from './cancel/cancel.provider.js';
import { ChannelMessagesController } from './send/channel-messages.controller.js';
import { DeadController } from './operators/dead.controller.js';
import { DeadLetterService } from './operators/dead-letter.provider.js';
import type { DeadLetters } from './operators/dead-letters.client.js';
import { IntakeService, type IntakeParts } from './send/intake.provider.js';
import { LOCK_SCOPE_RESOLVER, type LockScopeResolver } from './sessions/lock-scope-resolver.js';
import { MessagesController } from './send/messages.controller.js';
import { RunsController } from './cancel/runs.controller.js';
import { SessionChooser, type ScopeOf } from './sessions/session-chooser.provider.js';
import { SessionsController } from './operators/sessions.controller.js';
import { WorkerDirectory } from './operators/worker-directory.client.js';
import { WorkersController } from './operators/workers.controller.js';

export interface IngressModuleOptions {
  readonly parts: IntakeParts;
  readonly deadLetters: DeadLetters;
  readonly tasks: Pick<TaskLookup, 'conflictOn'>;
  /** Which messages start a task. */
  readonly settings: TaskSettings;
  readonly workers: WorkerDirectory;
  readonly log: Logger;
  readonly scopeOf: ScopeOf;
  /** The user's, such as a `LOCK_SCOPE_RESOLVER`, and whatever they need. */
  readonly providers?: readonly Provider[];
}

@Module({})
export class IngressModule {
  static register(options: IngressModuleOptions): DynamicModule {
    const { parts, deadLetters, tasks, settings, workers, log, scopeOf, providers = [] } = options;
    return {
      module: IngressModule,
      controllers: [
        MessagesController,
        ChannelMessagesController,
        SessionsController,
        RunsController,
        DeadController,
        WorkersController,
      ],
      providers: [
        { provide: DeadLetterService, useFactory: () => new DeadLetterService(deadLetters, tasks, settings) },
        {
          provide: SessionChooser,
          useFactory: (resolver?: LockScopeResolver) => new SessionChooser({ scopeOf, resolver, log }),
          inject: [{ token: LOCK_SCOPE_RESOLVER, optional: true }],
        },
        {
          provide: IntakeService,
          useFactory: (chooser: SessionChooser) => new IntakeService(parts, chooser),
          inject: [SessionChooser],
        },
        { provide: CancelService, useFactory: () => new CancelService(parts) },
        { provide: WorkerDirectory, useFactory: () => workers },
        ...providers,
      ],
    };
  }
}
