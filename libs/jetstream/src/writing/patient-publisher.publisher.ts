import { doublingWaitMs } from '#contracts';
import type { Logger } from '#telemetry';
import type { BrokerConnection } from '../connection/nats-connection.client.js';
import type { PublishChannel } from './publish-channel.publisher.js';

const PAUSE = { firstMs: 50, longestMs: 2_000 };
const TELL_EVERY_TRIES = 5;
/** After so many refusals we take it that the broker will never accept it. */
const MAX_REFUSALS = 5;

/**
 * `given-up`: the broker will not store it. What is kept here is a view, and a view must not block the data that it shows;
 * `stopped`: the process stops.
 */
export type KeepOutcome = 'kept' | 'given-up' | 'stopped';

/** Publishes what should be stored and may be stored twice: keeps trying through an outage, but not against a refusal. */
export class PatientPublisher {
  private stopped = false;

  constructor(
    private readonly connection: BrokerConnection,
    private readonly channel: PublishChannel,
    private readonly log: Logger,
  ) {}

  async keep(subject: string, body: string): Promise<KeepOutcome> {
    let refusals = 0;
    for (let tries = 1; !this.stopped; tries++) {
      const outcome = await this.channel.publish(subject, body, {});
      if (outcome.kind === 'stored') return 'kept';
      if (outcome.kind === 'refused') refusals++;
      if (outcome.kind === 'unsendable' || refusals >= MAX_REFUSALS) {
        this.log.error({ subject, outcome }, 'given up: the broker does not accept it');
        return 'given-up';
      }
      if (tries % TELL_EVERY_TRIES === 0) this.log.warn({ subject, tries, outcome }, 'not stored yet, trying again');
      await this.connection.whenUp();
      await new Promise((resolve) => setTimeout(resolve, doublingWaitMs(PAUSE, tries)));
    }
    return 'stopped';
  }

  stop(): void {
    this.stopped = true;
  }
}
