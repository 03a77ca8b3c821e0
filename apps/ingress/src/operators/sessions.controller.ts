import { Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiOperation, ApiParam, ApiQuery, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { sessionTurns, sessionView, type SessionTurns, type SessionView } from '#contracts';
import { documentAnswer, LIMIT_QUERY, readLimit } from '#http';
import { readCancelCall } from '../cancel/cancel-call.js';
import { CancelService, type CancelAnswer } from '../cancel/cancel.provider.js';
import { CancelRoute } from '../cancel/cancel-route.decorator.js';
import { IntakeService } from '../send/intake.provider.js';
import { readSessionPath } from '../session-route-fields.js';

@ApiTags('sessions')
@ApiParam({
  name: 'agent',
  description: 'Name of a configured agent, or of one whose messages wait until it is',
  example: 'main',
})
@ApiParam({ name: 'session', description: 'Session key: any UTF-8 up to 512 bytes, percent-encoded' })
@Controller('v1/agents/:agent/sessions/:session')
export class SessionsController {
  constructor(
    private readonly intake: IntakeService,
    private readonly cancels: CancelService,
  ) {}

  @Get()
  @ApiOperation({ summary: 'What a session is doing' })
  @ApiResponse(documentAnswer(200, 'What its worker and the streams tell of it', sessionView))
  async session(@Param('agent') agent: string, @Param('session') session: string): Promise<SessionView> {
    return this.intake.session(readSessionPath(agent, session));
  }

  @Get('turns')
  @ApiOperation({ summary: 'The records of a session, newest first' })
  @ApiQuery(LIMIT_QUERY)
  @ApiResponse(documentAnswer(200, 'Its records, with the notes that decide messages', sessionTurns))
  async turns(
    @Param('agent') agent: string,
    @Param('session') session: string,
    @Query('limit') limit: unknown,
  ): Promise<SessionTurns> {
    return this.intake.turns(readSessionPath(agent, session), readLimit(limit));
  }

  @Post('cancel')
  @CancelRoute('Cancel everything of a session that waits, then abort the turn that runs')
  async cancel(
    @Param('agent') agent: string,
    @Param('session') session: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CancelAnswer> {
    const path = readSessionPath(agent, session);
    const answer = await this.cancels.cancelSession(path, readCancelCall(request, reply));
    if (answer.cancelled !== undefined) void reply.status(200);
    return answer;
  }
}
