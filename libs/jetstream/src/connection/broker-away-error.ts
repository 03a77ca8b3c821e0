import { LanekeeperError } from '#contracts';

/** A request over the broker was not delivered or not answered. Its outcome is unknown; the caller asks again. */
export class BrokerAwayError extends LanekeeperError {
  constructor(options?: { cause?: unknown }) {
    super('broker_away', 'the broker does not answer: try again when it is back, or has elected a leader', options);
  }
}
