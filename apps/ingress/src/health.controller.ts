import { Controller, Get } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { HealthCheck, HealthCheckService, type HealthCheckResult } from '@nestjs/terminus';
import { BrokerIndicator } from '#http';
import { InboxIndicator } from './inbox.indicator.js';

@ApiTags('health')
@Controller()
export class HealthController {
  constructor(
    private readonly checks: HealthCheckService,
    private readonly broker: BrokerIndicator,
    private readonly inbox: InboxIndicator,
  ) {}

  @Get('healthz')
  @ApiOperation({
    summary: 'The process lives; says nothing about the broker, so that nobody restarts us for its sake',
  })
  live(): object {
    return { status: 'ok' };
  }

  @Get('readyz')
  @HealthCheck()
  @ApiOperation({ summary: 'Messages can be taken now' })
  ready(): Promise<HealthCheckResult> {
    return this.checks.check([() => this.broker.check(), () => this.inbox.check()]);
  }
}
