import { Injectable } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorFunction, type HealthIndicatorResult } from '@nestjs/terminus';

/** What the check needs of the connection that the role uses: a second connection would say nothing about that one. */
export interface BrokerPulse {
  readonly isUp: boolean;
  /** Resolves with its duration in ms. Rejects when the broker does not answer. */
  roundTrip(): Promise<number>;
}

/** Something besides the broker that requests need, such as the inbox. */
export interface Need {
  /** Why requests are refused; `undefined` while they are accepted. */
  readonly problem: string | undefined;
}

export interface ReadinessParts {
  readonly pulse: BrokerPulse;
  /** By the names that the answer uses. */
  readonly needs?: Readonly<Record<string, Need>>;
}

const ANSWER_WITHIN_MS = 2_000;

/** Whether a role can serve requests now. */
@Injectable()
export class Readiness {
  constructor(
    private readonly indicators: HealthIndicatorService,
    private readonly parts: ReadinessParts,
  ) {}

  get checks(): HealthIndicatorFunction[] {
    const needs = Object.entries(this.parts.needs ?? {});
    return [
      () => this.broker(),
      ...needs.map(
        ([name, need]) =>
          () =>
            this.need(name, need),
      ),
    ];
  }

  private async broker(): Promise<HealthIndicatorResult> {
    const { pulse } = this.parts;
    const broker = this.indicators.check('broker');
    if (!pulse.isUp) return broker.down({ message: 'no connection' });
    let cancel = (): void => {};
    const late = new Promise<'late'>((resolve) => {
      const timer = setTimeout(() => resolve('late'), ANSWER_WITHIN_MS);
      cancel = () => clearTimeout(timer);
    });
    try {
      const rttMs = await Promise.race([pulse.roundTrip(), late]);
      return rttMs === 'late' ? broker.down({ message: 'no answer' }) : broker.up({ rttMs });
    } catch {
      return broker.down({ message: 'no answer' });
    } finally {
      cancel();
    }
  }

  private need(name: string, { problem }: Need): HealthIndicatorResult {
    const indicator = this.indicators.check(name);
    return problem === undefined ? indicator.up() : indicator.down({ message: problem });
  }
}
