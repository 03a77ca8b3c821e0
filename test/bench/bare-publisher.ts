import { createInbox, headers as natsHeaders, type Msg, type NatsConnection } from '@nats-io/transport-node';

interface Waiting {
  readonly stored: (seq: number) => void;
  readonly failed: (error: Error) => void;
  readonly deadline: number;
}

interface Outgoing {
  readonly id: string;
  readonly subject: string;
  readonly body: string;
  readonly headers: Record<string, string>;
}

interface PubAck {
  readonly seq?: number;
  readonly error?: { readonly description?: string };
}

const TIMEOUT_MS = 5_000;
const SWEEP_MS = 250;

/**
 * JetStream publishes as a user writes them who wants them fast and keeps to what the client offers everyone: one reply
 * subscription and one timeout sweeper for all, and one write for all that one turn of the event loop publishes.
 */
export class BarePublisher {
  private readonly inbox = createInbox();
  private readonly waiting = new Map<string, Waiting>();
  private outgoing: Outgoing[] = [];
  private serial = 0;

  constructor(private readonly nc: NatsConnection) {
    nc.subscribe(`${this.inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.answer(message);
      },
    });
    setInterval(() => this.sweep(), SWEEP_MS).unref();
  }

  /** Resolves with the sequence. */
  publish(subject: string, body: string, headers: Record<string, string>): Promise<number> {
    return new Promise((stored, failed) => {
      const id = (this.serial++).toString(36);
      this.waiting.set(id, { stored, failed, deadline: performance.now() + TIMEOUT_MS });
      this.outgoing.push({ id, subject, body, headers });
      if (this.outgoing.length === 1) setImmediate(() => this.send());
    });
  }

  private send(): void {
    const { outgoing } = this;
    this.outgoing = [];
    for (const { id, subject, body, headers } of outgoing) {
      const wireHeaders = natsHeaders();
      for (const name in headers) wireHeaders.set(name, headers[name] as string);
      this.nc.publish(subject, body, { headers: wireHeaders, reply: `${this.inbox}.${id}` });
    }
  }

  private answer(message: Msg): void {
    const id = message.subject.slice(this.inbox.length + 1);
    const waiting = this.waiting.get(id);
    if (waiting === undefined) return;
    this.waiting.delete(id);
    const { seq, error } = message.json<PubAck>();
    if (seq === undefined) waiting.failed(new Error(`not stored: ${error?.description ?? 'no description'}`));
    else waiting.stored(seq);
  }

  private sweep(): void {
    const now = performance.now();
    for (const [id, { deadline, failed }] of this.waiting) {
      if (deadline > now) return;
      this.waiting.delete(id);
      failed(new Error('no answer in time'));
    }
  }
}
