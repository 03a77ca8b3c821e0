import { Controller, Param, Post, Req, Res } from '@nestjs/common';
import { ApiParam, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { readCancelCall } from './cancel-call.js';
import { CancelService, type CancelAnswer } from './cancel.provider.js';
import { CancelRoute } from './cancel-route.decorator.js';

@ApiTags('runs')
@ApiParam({ name: 'runId', description: 'As messages and turns tell it: <agent>.<session>.<first seq>.<hash>' })
@Controller('v1/runs/:runId')
export class RunsController {
  constructor(private readonly cancels: CancelService) {}

  @Post('cancel')
  @CancelRoute('Abort a run, or end the wait for its next attempt')
  @ApiResponse({ status: 404, description: 'No run of this id runs, waits for a retry or has a record' })
  @ApiResponse({ status: 409, description: 'It is over: {runId, decision}' })
  async cancel(
    @Param('runId') runId: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CancelAnswer> {
    const answer = await this.cancels.cancelRun(runId, readCancelCall(request, reply));
    if (answer.cancelled !== undefined) void reply.status(200);
    return answer;
  }
}
