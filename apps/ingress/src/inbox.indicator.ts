import { Injectable } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';

/** What the check needs to know of the inbox. */
export interface InboxPulse {
  /** Why no message is taken; `undefined` while messages are. */
  readonly problem: string | undefined;
}

@Injectable()
export class InboxIndicator {
  constructor(
    private readonly indicators: HealthIndicatorService,
    private readonly pulse: InboxPulse,
  ) {}

  check(): HealthIndicatorResult {
    const inbox = this.indicators.check('inbox');
    const { problem } = this.pulse;
    return problem === undefined ? inbox.up() : inbox.down({ message: problem });
  }
}
