import { Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiParam, ApiQuery, ApiResponse, ApiTags } from '@nestjs/swagger';
import { readCursor, readLimit } from '#http';
import { DeadLetterService } from './dead-letter.provider.js';
import { readOptionalAgent, readOptionalSession } from '../session-route-fields.js';

@ApiTags('dead messages')
@Controller('v1/dead')
export class DeadController {
  constructor(private readonly service: DeadLetterService) {}

  @Get()
  @ApiOperation({ summary: 'Messages of which no further attempt will be made, oldest first' })
  @ApiQuery({ name: 'agent', required: false })
  @ApiQuery({ name: 'session', required: false })
  @ApiQuery({ name: 'limit', required: false, description: '1 to 200, default 20' })
  @ApiQuery({ name: 'after', required: false, description: '`next` of the page before' })
  @ApiResponse({
    status: 200,
    description: '{dead: [{deadId, agent, session, messageId, runId, attempts, error, …}], next?}',
  })
  async list(
    @Query('agent') agent: unknown,
    @Query('session') session: unknown,
    @Query('limit') limit: unknown,
    @Query('after') after: unknown,
  ): Promise<object> {
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
  async show(@Param('deadId') deadId: string): Promise<object> {
    return this.service.show(deadId);
  }

  @Post(':deadId/retry')
  @HttpCode(202)
  @ApiParam({ name: 'deadId', description: 'As listed: <agent>.<session>.<seq>' })
  @ApiOperation({ summary: 'Send it again: a new message of the same id, under a new run' })
  @ApiResponse({ status: 202, description: '{messageId, seq, duplicate}' })
  @ApiResponse({ status: 409, description: 'Its task runs, or waits for an approval (task-not-free); the entry stays' })
  async retry(@Param('deadId') deadId: string): Promise<object> {
    return this.service.retry(deadId);
  }

  @Post(':deadId/drop')
  @HttpCode(200)
  @ApiParam({ name: 'deadId', description: 'As listed: <agent>.<session>.<seq>' })
  @ApiOperation({ summary: 'Forget the entry; the decision stays in the session’s record' })
  async drop(@Param('deadId') deadId: string): Promise<object> {
    return this.service.drop(deadId);
  }
}
