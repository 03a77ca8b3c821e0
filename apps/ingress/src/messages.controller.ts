import { randomUUID } from 'node:crypto';
import { Body, Controller, Get, Headers, HttpCode, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiBody, ApiHeader, ApiOperation, ApiParam, ApiQuery, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { checkSendMessageBody, type InboxMessage } from '#contracts';
import { readCancelCall } from './cancel-call.js';
import { CancelService, type CancelAnswer } from './cancel.provider.js';
import { CancelRoute } from './cancel-route.decorator.js';
import { goneSignal } from './gone-signal.js';
import { messageBodySchema } from './message-body.schema.js';
import { IntakeService, type SendAnswer } from './intake.provider.js';
import { inputProblem, ProblemException } from './problem.exception.js';
import { acceptsJson, readMessageId, readSessionPath, readTrace, readWait } from './request-fields.js';

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
  @HttpCode(202)
  @ApiOperation({ summary: 'Send a message. 202 = stored for good; with ?wait= 200 = its turn has ended' })
  @ApiQuery({ name: 'wait', required: false, description: 'Wait for the turn, e.g. 30s (at most 10m)' })
  @ApiHeader({ name: 'Idempotency-Key', required: false, description: 'The id, when the body has none' })
  @ApiBody({ schema: messageBodySchema })
  @ApiResponse({ status: 202, description: '{messageId, seq, duplicate}' })
  @ApiResponse({ status: 200, description: '{messageId, seq, duplicate, runId, status, decision, replies}' })
  @ApiResponse({ status: 413, description: 'Text over 256 KiB, or the whole message over its limit' })
  @ApiResponse({ status: 422, description: 'A field is wrong, or the id was used for another message' })
  @ApiResponse({ status: 503, description: 'The broker is away or full; see Retry-After' })
  async send(
    @Param('agent') agent: string,
    @Param('session') session: string,
    @Body() body: unknown,
    @Headers() headers: Record<string, string | string[] | undefined>,
    @Query('wait') wait: unknown,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SendAnswer> {
    const path = readSessionPath(agent, session);
    const waitMs = readWait(wait);
    if (!acceptsJson(request.headers.accept)) throw notAcceptable();
    const { message, isIdMade } = readMessage(body, headers['idempotency-key']);
    const answer = await this.intake.send(path, message, readTrace(headers), waitMs, goneSignal(reply, waitMs));
    if (answer.status !== undefined) void reply.status(200);
    // Nobody else knows an id that was made here: what it is a duplicate of can only be our own unclear first try.
    return isIdMade ? { ...answer, duplicate: false } : answer;
  }

  @Get(':messageId')
  @ApiOperation({ summary: 'What became of a message' })
  @ApiResponse({ status: 200, description: '{messageId, seq, disposition, position?, decision?, reason?, runId?}' })
  async status(
    @Param('agent') agent: string,
    @Param('session') session: string,
    @Param('messageId') messageId: string,
  ): Promise<object> {
    return this.intake.messageStatus(readSessionPath(agent, session), messageId);
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

function readMessage(body: unknown, idempotencyKey: unknown): { message: InboxMessage; isIdMade: boolean } {
  const checked = checkSendMessageBody(body);
  if (!checked.ok) throw inputProblem(checked.tooLarge ? 413 : 422, checked.problems);
  const { id, ...content } = checked.body;
  const given = readMessageId(id, idempotencyKey);
  return {
    message: { v: 1, kind: 'message', id: given ?? randomUUID(), ...content },
    isIdMade: given === undefined,
  };
}

function notAcceptable(): ProblemException {
  return new ProblemException({
    status: 406,
    code: 'not-acceptable',
    title: 'This answer is JSON',
    detail: 'Accept: wanted application/json or */*; event streams are not in this version yet',
  });
}
