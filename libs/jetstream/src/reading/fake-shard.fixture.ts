import { headers as natsHeaders, type Msg, type MsgHdrs } from '@nats-io/transport-node';
import type { BrokerConnection } from '../connection/nats-connection.client.js';

type Callback = (error: Error | null, message: Msg) => void;

interface OpenRequest {
  left: number;
  readonly reply: string;
}

interface FakeConsumer {
  readonly name: string;
  nextSeq: number;
  deliverySeq: number;
  requests: OpenRequest[];
}

/** A stream and its consumers as a reader sees them. The spec triggers each event, including losses on the network. */
export class FakeShard {
  /** How many messages it has, with the sequences 1, 2, … */
  stored = 0;
  consumer: FakeConsumer | undefined;
  made = 0;
  /** Consumers cannot be made. */
  isRefusing = false;
  readonly subscriptions = new Map<string, Callback>();
  private readonly upListeners = new Set<() => void>();
  private readonly downListeners = new Set<() => void>();

  readonly connection = {
    apiPrefix: '$JS.API',
    isUp: true,
    whenUp: () => Promise.resolve(),
    onUp: (listener: () => void) => {
      this.upListeners.add(listener);
      return () => this.upListeners.delete(listener);
    },
    onDown: (listener: () => void) => {
      this.downListeners.add(listener);
      return () => this.downListeners.delete(listener);
    },
    nc: {
      isClosed: () => false,
      subscribe: (subject: string, { callback }: { callback: Callback }) => {
        this.subscriptions.set(subject, callback);
        return { unsubscribe: () => this.subscriptions.delete(subject) };
      },
      publish: (subject: string, body: string, { reply }: { reply: string }) => this.request(subject, body, reply),
    },
    js: { consumers: { get: (_stream: string, from: { opt_start_seq: number }) => this.make(from.opt_start_seq) } },
  } as unknown as BrokerConnection;

  /** A consumer, without the requests by which a reader makes one. */
  makeNow(fromSeq: number): FakeConsumer {
    this.consumer = { name: `c${++this.made}`, nextSeq: fromSeq, deliverySeq: 0, requests: [] };
    return this.consumer;
  }

  /** How many messages were requested and not delivered yet. */
  get asked(): number {
    return (this.consumer?.requests ?? []).reduce((sum, { left }) => sum + left, 0);
  }

  deliver({ isLost = false } = {}): void {
    const { consumer } = this;
    const request = consumer?.requests[0];
    if (consumer === undefined || request === undefined || consumer.nextSeq > this.stored) return;
    const seq = consumer.nextSeq++;
    const deliverySeq = ++consumer.deliverySeq;
    if (--request.left === 0) consumer.requests.shift();
    const reply = `$JS.ACK.S.${consumer.name}.1.${seq}.${deliverySeq}.${1_700_000_000_000 + seq}000000.${this.stored - seq}`;
    if (!isLost) this.send(request.reply, reply, undefined);
  }

  /** Only a client with a pending request gets a heartbeat. */
  heartbeat(): void {
    const request = this.consumer?.requests[0];
    if (request !== undefined) {
      this.status(100, 'Idle Heartbeat', { 'Nats-Last-Consumer': String(this.consumer?.deliverySeq) });
    }
  }

  /** The oldest request expires. */
  expire(): void {
    const request = this.consumer?.requests.shift();
    if (request === undefined) return;
    this.send(
      request.reply,
      undefined,
      statusOf(408, 'Request Timeout', { 'Nats-Pending-Messages': `${request.left}` }),
    );
  }

  status(code: number, description: string, headers: Record<string, string> = {}): void {
    const request = this.consumer?.requests[0];
    if (request !== undefined) this.send(request.reply, undefined, statusOf(code, description, headers));
  }

  /** The consumer is gone with its node: no further message or status comes from it. */
  lose(): void {
    this.consumer = undefined;
  }

  disconnect(): void {
    for (const listener of [...this.downListeners]) listener();
  }

  reconnect(): void {
    for (const listener of [...this.upListeners]) listener();
  }

  private async make(fromSeq: number) {
    if (this.isRefusing) throw new Error('no leader');
    const { name } = this.makeNow(fromSeq);
    const pending = Math.max(0, this.stored + 1 - fromSeq);
    return { info: () => Promise.resolve({ name, num_pending: pending }), delete: () => Promise.resolve(true) };
  }

  private request(subject: string, body: string, reply: string): void {
    const { batch } = JSON.parse(body) as { batch: number };
    if (subject.endsWith(`.${this.consumer?.name}`)) this.consumer?.requests.push({ left: batch, reply });
  }

  private send(subject: string, reply: string | undefined, headers: MsgHdrs | undefined): void {
    this.subscriptions.get(subject)?.(null, { subject, reply, headers, data: new Uint8Array() } as unknown as Msg);
  }
}

function statusOf(code: number, description: string, values: Record<string, string>): MsgHdrs {
  const made = natsHeaders(code, description);
  for (const [name, value] of Object.entries(values)) made.set(name, value);
  return made;
}
