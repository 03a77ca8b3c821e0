import { Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiParam, ApiQuery, ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  deadDrop,
  deadList,
  deadMessage,
  deadRetry,
  type DeadDrop,
  type DeadList,
  type DeadMessage,
  type DeadRetry,
} from '#contracts';
import { CURSOR_QUERY, documentAnswer, LIMIT_QUERY, readCursor, readLimit } from '#http';
import { DeadLetterService } from './dead-letter.provider.js';
import { readOptionalAgent, readOptionalSession } from '../session-route-fields.js';

@ApiTags('dead messages')
@Controller('v1/dead')
export class DeadController {
  constructor(private readonly service: DeadLetterService) {}

  @Get()
  @ApiOperation({ summary: 'Messages that will not be retried, oldest first' })
  @ApiQuery({ name: 'agent', required: false, type: String, description: 'Only those of this agent' })
  @ApiQuery({ name: 'session', required: false, type: String, description: 'Only those of this session' })
  @ApiQuery(LIMIT_QUERY)
  @ApiQuery(CURSOR_QUERY)
  @ApiResponse(documentAnswer(200, 'A page of dead messages, without their content', deadList))
  async list(
    @Query('agent') agent: unknown,
    @Query('session') session: unknown,
    @Query('limit') limit: unknown,
    @Query('after') after: unknown,
  ): Promise<DeadList> {
    return this.service.list({
      agent: readOptionalAgent(agent),
      session: readOptionalSession(session),
      limit: readLimit(limit),
      after: readCursor(after),
    });
  }

  @Get(':deadId')
  @ApiParam({ name: 'deadId', description: 'As listed: <agent>.<session>.<seq>' })
  @ApiOperation({ summary: 'One dead message, with its content' })
  @ApiResponse(documentAnswer(200, 'The dead message', deadMessage))
  async show(@Param('deadId') deadId: string): Promise<DeadMessage> {
    return this.service.show(deadId);
  }

  @Post(':deadId/retry')
  @HttpCode(202)
  @ApiParam({ name: 'deadId', description: 'As listed: <agent>.<session>.<seq>' })
  @ApiOperation({ summary: 'Send it again: a new message of the same id, under a new run' })
  @ApiResponse(documentAnswer(202, 'It is stored again for good', deadRetry))
  @ApiResponse({ status: 409, description: 'Its task runs, or waits for an approval (task-not-free); the entry stays' })
  async retry(@Param('deadId') deadId: string): Promise<DeadRetry> {
    return this.service.retry(deadId);
  }

  @Post(':deadId/drop')
  @HttpCode(200)
  @ApiParam({ name: 'deadId', description: 'As listed: <agent>.<session>.<seq>' })
  @ApiOperation({ summary: 'Forget the entry; the decision stays in the session’s record' })
  @ApiResponse(documentAnswer(200, 'It is forgotten', deadDrop))
  async drop(@Param('deadId') deadId: string): Promise<DeadDrop> {
    return this.service.drop(deadId);
  }
}
