import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import type { GuardReply, TaskAnswers } from '#contracts';
import { TaskCalls } from './task-calls.provider.js';

/** The guard over NATS: subjects are `<namespace>.guard.tasks.<pattern>`. */
@Controller()
export class TaskMessagesController {
  constructor(private readonly calls: TaskCalls) {}

  @MessagePattern('acquire')
  acquire(@Payload() call: unknown): Promise<GuardReply<TaskAnswers['acquire']>> {
    return this.calls.reply('acquire', call);
  }

  @MessagePattern('renew')
  renew(@Payload() call: unknown): Promise<GuardReply<TaskAnswers['renew']>> {
    return this.calls.reply('renew', call);
  }

  @MessagePattern('release')
  release(@Payload() call: unknown): Promise<GuardReply<TaskAnswers['release']>> {
    return this.calls.reply('release', call);
  }

  @MessagePattern('approve-retry')
  approve(@Payload() call: unknown): Promise<GuardReply<TaskAnswers['approve-retry']>> {
    return this.calls.reply('approve-retry', call);
  }

  @MessagePattern('end')
  end(@Payload() call: unknown): Promise<GuardReply<TaskAnswers['end']>> {
    return this.calls.reply('end', call);
  }
}
