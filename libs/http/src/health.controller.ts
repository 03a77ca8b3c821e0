import { Controller, Get } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { HealthCheck, HealthCheckService, type HealthCheckResult } from '@nestjs/terminus';
import { Readiness } from './readiness.indicator.js';

@ApiTags('health')
@Controller()
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly readiness: Readiness,
  ) {}

  @Get('healthz')
  @ApiOperation({
    summary:
      'The process is alive. It does not depend on the broker: a restart of this process would not mend the broker',
  })
  live(): object {
    return { status: 'ok' };
  }

  @Get('readyz')
  @HealthCheck()
  @ApiOperation({ summary: 'Calls can be taken now' })
  ready(): Promise<HealthCheckResult> {
    return this.health.check(this.readiness.checks);
  }
}
