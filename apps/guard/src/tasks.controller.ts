import { Body, Controller, Get, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiParam, ApiQuery, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import {
  TASK_STATES,
  taskApproval,
  taskEnd,
  taskList,
  taskView,
  type AcquireAnswer,
  type TaskApproval,
  type TaskEnd,
  type TaskList,
  type TaskView,
} from '#contracts';
import { CURSOR_QUERY, documentAnswer, LIMIT_QUERY, readCursor, readLimit } from '#http';
import { hasHungUp } from './hung-up.js';
import { acquireSchema, approveSchema, releaseSchema, renewSchema } from './task-body.schema.js';
import { readKey, readScope, readState } from './task-query.js';
import { callerGone, TaskService } from './task-service.provider.js';

const KEY = { name: 'key', description: 'Any UTF-8 up to 768 bytes, percent-encoded, e.g. <session>::<task>' };

@ApiTags('tasks')
@ApiResponse({ status: 422, description: 'The key or a field is wrong; nothing was changed' })
@ApiResponse({ status: 503, description: 'The broker is away; see Retry-After' })
@Controller('v1/tasks')
export class TasksController {
  constructor(private readonly tasks: TaskService) {}

  @Get()
  @ApiOperation({ summary: 'Tasks in the order of their last change, the longest unchanged first' })
  @ApiQuery({ name: 'state', required: false, enum: TASK_STATES })
  @ApiQuery({
    name: 'scope',
    required: false,
    type: String,
    description: 'Only those of <agent>/<session>, or of a namespace',
  })
  @ApiQuery(LIMIT_QUERY)
  @ApiQuery(CURSOR_QUERY)
  @ApiResponse(documentAnswer(200, 'A page of tasks, and how many there are in all', taskList))
  list(
    @Query('state') state: unknown,
    @Query('scope') scope: unknown,
    @Query('limit') limit: unknown,
    @Query('after') after: unknown,
  ): Promise<TaskList> {
    return this.tasks.list({
      state: readState(state),
      scope: readScope(scope),
      limit: readLimit(limit),
      after: readCursor(after),
    });
  }

  @Get(':key')
  @ApiParam(KEY)
  @ApiOperation({ summary: 'One task: who runs it, how it ended, who approved it, and its history' })
  @ApiResponse(documentAnswer(200, 'The task', taskView))
  @ApiResponse({ status: 404, description: 'Nothing is known of it: it never ran, or it ended well long ago' })
  show(@Param('key') key: string): Promise<TaskView> {
    return this.tasks.show(readKey(key));
  }

  @Post(':key/acquire')
  @HttpCode(200)
  @ApiParam(KEY)
  @ApiBody({ schema: acquireSchema })
  @ApiOperation({ summary: 'Get the task, or hear why not. With the same requestId the answer is the same again' })
  @ApiResponse({
    status: 200,
    description:
      '{kind: acquired, token, startedAt, expiresAt} | {kind: already_running, runId, startedAt, expiresAt, owner?, own} | ' +
      '{kind: approval_required, failedRunId, failedAt, error, attempts, approvableUntil?, approvalExpired?} | ' +
      '{kind: done, runId, endedAt, result?}. Times are ms since the epoch',
  })
  async acquire(
    @Param('key') key: string,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
  ): Promise<AcquireAnswer> {
    if (await hasHungUp(request)) throw callerGone();
    return this.tasks.acquire(key, body);
  }

  @Post(':key/renew')
  @HttpCode(200)
  @ApiParam(KEY)
  @ApiBody({ schema: renewSchema })
  @ApiOperation({ summary: 'Hold it for longer' })
  @ApiResponse({ status: 200, description: '{kind: renewed, expiresAt}' })
  @ApiResponse({ status: 409, description: 'The token holds nothing any more (not-held)' })
  renew(@Param('key') key: string, @Body() body: unknown): Promise<object> {
    return this.tasks.renew(key, body);
  }

  @Post(':key/release')
  @HttpCode(200)
  @ApiParam(KEY)
  @ApiBody({ schema: releaseSchema })
  @ApiOperation({
    summary:
      'Say how it ended: with the token of acquire; or, for operators, with `by` and no token, whatever stands there. ' +
      'succeeded, cancelled and interrupted free it; failed, timed_out and rejected ask for an approval',
  })
  @ApiResponse(documentAnswer(200, 'The state that it is in now; `ended` = without its token', taskEnd))
  @ApiResponse({ status: 404, description: 'Without a token: nothing stands there' })
  @ApiResponse({ status: 409, description: 'The token holds nothing any more (not-held)' })
  release(@Param('key') key: string, @Body() body: unknown): Promise<TaskEnd> {
    return this.tasks.release(key, body);
  }

  @Post(':key/approve-retry')
  @HttpCode(200)
  @ApiParam(KEY)
  @ApiBody({ schema: approveSchema })
  @ApiOperation({ summary: 'Let exactly one acquire through after a failure' })
  @ApiResponse(documentAnswer(200, 'The first approval of this failure', taskApproval))
  @ApiResponse({ status: 404, description: 'Nothing is known of it' })
  @ApiResponse({ status: 409, description: 'It does not wait for approval, or the time for it is over (not-waiting)' })
  approve(@Param('key') key: string, @Body() body: unknown): Promise<TaskApproval> {
    return this.tasks.approve(key, body);
  }
}
