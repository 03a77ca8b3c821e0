import type { Msg } from '@nats-io/transport-node';
import { RawHeaders } from './raw-headers.client.js';

const DELIVERY = '$JS.ACK.';
/** Without the server's domain and account. */
const SHORT_FORM = 9;

/** A message as a consumer delivers it. */
export class DeliveredMessage {
  private headers: RawHeaders | undefined;

  constructor(
    private readonly message: Msg,
    readonly seq: number,
    /** The consumer numbers its deliveries: a gap in the numbers is a lost message. */
    readonly deliverySeq: number,
    /** The broker's clock, ms since the epoch. */
    readonly storedAtMs: number,
    /** How many messages come after it. */
    readonly pending: number,
  ) {}

  get subject(): string {
    return this.message.subject;
  }

  get data(): Uint8Array {
    return this.message.data;
  }

  header(name: string): string {
    this.headers ??= new RawHeaders(this.message);
    return this.headers.get(name);
  }
}

/** Undefined: not a delivery, but a status of the server about a request. */
export function readDelivery(message: Msg): DeliveredMessage | undefined {
  const { reply } = message;
  if (reply?.startsWith(DELIVERY) !== true) return undefined;
  // $JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<times>.<seq>.<delivery>.<nanoseconds>.<pending>[.<random>]
  const tokens = reply.split('.');
  const at = tokens.length === SHORT_FORM ? 5 : 7;
  // As text: a number of that many nanoseconds is rounded, sometimes into another millisecond.
  const storedAtMs = Number(tokens[at + 2]?.slice(0, -6));
  return new DeliveredMessage(message, Number(tokens[at]), Number(tokens[at + 1]), storedAtMs, Number(tokens[at + 3]));
}
