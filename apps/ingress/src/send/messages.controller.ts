import { Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiOperation, ApiParam, ApiQuery, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { checkSendMessageBody } from '#contracts';
import type { DirectRoute } from '#http';
import { readCancelCall } from '../cancel/cancel-call.js';
import { CancelService, type CancelAnswer } from '../cancel/cancel.provider.js';
import { CancelRoute } from '../cancel/cancel-route.decorator.js';
import { IntakeService } from './intake.provider.js';
import { messageBodySchema } from './message-body.schema.js';
import { readReplies, readSessionPath } from '../session-route-fields.js';
import type { SendAnswer } from './send-answer.js';
import { readSendCall } from './send-call.js';
import { ALL_REPLIES, SendRoute } from './send-route.decorator.js';

@ApiTags('messages')
@ApiParam({ name: 'agent', description: 'Name of a configured agent', example: 'main' })
@ApiParam({ name: 'session', description: 'Session key: any UTF-8 up to 512 bytes, percent-encoded' })
@Controller('v1/agents/:agent/sessions/:session/messages')
export class MessagesController {
  constructor(
    private readonly intake: IntakeService,
    private readonly cancels: CancelService,
  ) {}

  @Post()
  @SendRoute('Send a message. 202 = stored for good; with ?wait= 200 = it is decided', messageBodySchema)
  async send(
    @Param('agent') agent: string,
    @Param('session') session: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SendAnswer> {
    const path = readSessionPath(agent, session);
    const answer = await this.intake.send(path, readSendCall(request, reply, checkSendMessageBody));
    if (answer.status !== undefined) void reply.status(200);
    return answer;
  }

  @Get(':messageId')
  @ApiOperation({ summary: 'What became of a message' })
  @ApiQuery(ALL_REPLIES)
  @ApiResponse({
    status: 200,
    description:
      '{messageId, seq, disposition, …}: queued {position}; waiting = for a retry, the end of a window or the ' +
      'numbers before its own (reason sequence-gap) {position, notBefore?, runId?, reason?}; running {runId}; decided ' +
      '{decision, reason?, runId?, status?, replies, answeredWith?}: status is how its turn ended, the rest as with ?wait=. ' +
      'attempt is that of its run which runs, comes next or was the last, and error {name, message, status?, excerpt?} what ' +
      'its last one failed with. position is its place among the messages that wait, from 1; times are ms since the epoch',
  })
  @ApiResponse({ status: 404, description: 'No message with this id is stored for this session' })
  async status(
    @Param('agent') agent: string,
    @Param('session') session: string,
    @Param('messageId') messageId: string,
    @Query('replies') replies: unknown,
  ): Promise<object> {
    return this.intake.messageStatus(readSessionPath(agent, session), messageId, readReplies(replies));
  }

  @Post(':messageId/cancel')
  @CancelRoute('Cancel a message that waits, or abort the turn that runs it')
  @ApiResponse({ status: 404, description: 'No message with this id is stored for this session' })
  @ApiResponse({ status: 409, description: 'It is decided: {seq, decision, reason?, runId?}' })
  async cancel(
    @Param('agent') agent: string,
    @Param('session') session: string,
    @Param('messageId') messageId: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CancelAnswer> {
    const path = readSessionPath(agent, session);
    const answer = await this.cancels.cancelMessage(path, messageId, readCancelCall(request, reply));
    if (answer.cancelled !== undefined) void reply.status(200);
    return answer;
  }
}

/** The route of nearly every message. */
export const sendMessageRoute: DirectRoute = {
  controller: MessagesController,
  handler: 'send',
  method: 'POST',
  url: '/v1/agents/:agent/sessions/:session/messages',
  call: (messages, request, reply) => {
    const { agent, session } = request.params as { readonly agent: string; readonly session: string };
    return (messages as MessagesController).send(agent, session, request, reply);
  },
};
