import { Injectable } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';

/** What the check needs of the live connection: a second connection would answer for itself, not for us. */
export interface BrokerPulse {
  readonly isUp: boolean;
  /** Rejects when the broker does not answer. */
  roundTrip(): Promise<number>;
}

const ANSWER_WITHIN_MS = 2_000;

@Injectable()
export class BrokerIndicator {
  constructor(
    private readonly indicators: HealthIndicatorService,
    private readonly pulse: BrokerPulse,
  ) {}

  async check(): Promise<HealthIndicatorResult> {
    const broker = this.indicators.check('broker');
    if (!this.pulse.isUp) return broker.down({ message: 'no connection' });
    let cancel = (): void => {};
    const late = new Promise<'late'>((resolve) => {
      const timer = setTimeout(() => resolve('late'), ANSWER_WITHIN_MS);
      cancel = () => clearTimeout(timer);
    });
    try {
      const rttMs = await Promise.race([this.pulse.roundTrip(), late]);
      return rttMs === 'late' ? broker.down({ message: 'no answer' }) : broker.up({ rttMs });
    } catch {
      return broker.down({ message: 'no answer' });
    } finally {
      cancel();
    }
  }
}
