import type { Logger } from '#telemetry';
import type { BrokerConnection } from './nats-connection.client.js';
import type { PublishChannel } from './publish-channel.publisher.js';

const PAUSE_MS = 50;
const PAUSE_MAX_MS = 2_000;
const TELL_EVERY_TRIES = 5;

/** Publishes what must be stored and may be stored twice: tries until the broker has it or the process stops. */
export class PatientPublisher {
  private stopped = false;

  constructor(
    private readonly connection: BrokerConnection,
    private readonly channel: PublishChannel,
    private readonly log: Logger,
  ) {}

  /** False when the process stops before it was stored. */
  async keep(subject: string, body: string): Promise<boolean> {
    for (let tries = 1; !this.stopped; tries++) {
      const outcome = await this.channel.publish(subject, body, {});
      if (outcome.kind === 'stored') return true;
      if (tries % TELL_EVERY_TRIES === 0) this.log.warn({ subject, tries, outcome }, 'not stored yet, trying again');
      await this.connection.whenUp();
      await new Promise((resolve) => setTimeout(resolve, Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** tries)));
    }
    return false;
  }

  stop(): void {
    this.stopped = true;
  }
}
