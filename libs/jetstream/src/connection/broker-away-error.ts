import { LanekeeperError } from '#contracts';

/** Somebody who was asked a question on the broker did not get it, or gave no answer. Nothing is known; the caller asks again. */
export class BrokerAwayError extends LanekeeperError {
  constructor(options?: { cause?: unknown }) {
    super('broker_away', 'the broker does not answer: try again when it is back, or has elected a leader', options);
  }
}
