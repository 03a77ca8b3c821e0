import { LanekeeperError } from '#contracts';

/** A read that got no answer. Nothing is known; the caller asks again. */
export class BrokerAwayError extends LanekeeperError {
  constructor(options?: { cause?: unknown }) {
    super(
      'broker_away',
      'the broker did not answer a read: try again when it is back, or has elected a leader',
      options,
    );
  }
}
