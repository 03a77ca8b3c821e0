import { Controller, Get } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { HealthCheck, HealthCheckService, type HealthCheckResult } from '@nestjs/terminus';
import { BrokerIndicator } from '#http';

@ApiTags('health')
@Controller()
export class GuardHealthController {
  constructor(
    private readonly checks: HealthCheckService,
    private readonly broker: BrokerIndicator,
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
  @ApiOperation({ summary: 'Tasks can be decided now' })
  ready(): Promise<HealthCheckResult> {
    return this.checks.check([() => this.broker.check()]);
  }
}
