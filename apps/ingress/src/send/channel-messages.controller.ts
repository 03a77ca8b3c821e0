import { Controller, Param, Post, Req, Res } from '@nestjs/common';
import { ApiParam, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { checkChannelMessageBody } from '#contracts';
import { IntakeService } from './intake.provider.js';
import { channelBodySchema } from './message-body.schema.js';
import { readAgent } from '../session-route-fields.js';
import type { SendAnswer } from './send-answer.js';
import { readSendCall } from './send-call.js';
import { SendRoute } from './send-route.decorator.js';

/** For senders that know the channel of a message, but not its session. */
@ApiTags('messages')
@ApiParam({ name: 'agent', description: 'Name of a configured agent', example: 'main' })
@Controller('v1/agents/:agent/messages')
export class ChannelMessagesController {
  constructor(private readonly intake: IntakeService) {}

  @Post()
  @SendRoute(
    'Send a message to the session of its thread, channel or author, as the lock scope says. Its id has to be unique there',
    channelBodySchema,
    ', session',
  )
  @ApiResponse({ status: 500, description: 'The resolver of lock scopes failed; nothing was stored' })
  async send(
    @Param('agent') agent: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SendAnswer> {
    const name = readAgent(agent);
    const answer = await this.intake.sendToChannel(name, readSendCall(request, reply, checkChannelMessageBody));
    if (answer.status !== undefined) void reply.status(200);
    return answer;
  }
}
