import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiOperation, ApiParam, ApiQuery, ApiResponse, ApiTags } from '@nestjs/swagger';
import { IntakeService } from './intake.provider.js';
import { readLimit, readSessionPath } from './request-fields.js';

@ApiTags('sessions')
@ApiParam({ name: 'agent', description: 'Name of a configured agent', example: 'main' })
@ApiParam({ name: 'session', description: 'Session key: any UTF-8 up to 512 bytes, percent-encoded' })
@Controller('v1/agents/:agent/sessions/:session')
export class SessionsController {
  constructor(private readonly intake: IntakeService) {}

  @Get()
  @ApiOperation({ summary: 'What a session is doing' })
  @ApiResponse({ status: 200, description: '{state, depth, oldestMs, running?, lastTurn?, worker?, tasks, locks}' })
  async session(@Param('agent') agent: string, @Param('session') session: string): Promise<object> {
    return this.intake.session(readSessionPath(agent, session));
  }

  @Get('turns')
  @ApiOperation({ summary: 'The records of a session, newest first' })
  @ApiQuery({ name: 'limit', required: false, description: '1 to 200, default 20' })
  @ApiResponse({ status: 200, description: '{turns: [record, …]}, notes that decide messages included' })
  async turns(
    @Param('agent') agent: string,
    @Param('session') session: string,
    @Query('limit') limit: unknown,
  ): Promise<object> {
    return this.intake.turns(readSessionPath(agent, session), readLimit(limit));
  }
}
