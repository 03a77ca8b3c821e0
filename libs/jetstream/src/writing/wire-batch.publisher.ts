import type { NatsConnection } from '@nats-io/transport-node';

/**
 * The part of the client's protocol object that we use. It is not part of its interface: without it nothing is written here.
 */
interface Protocol {
  sendCommand(frame: Uint8Array): void;
  outMsgs: number;
  outBytes: number;
  readonly noMorePublishing: boolean;
}

const PLAIN = /^[\x21-\x7e]+$/;
const PLAIN_NAME = /^[!-9;-~]+$/;
const PLAIN_VALUE = /^[\x20-\x7e]*$/;
/** For a larger message one more copy costs more than the system call that it saves. */
const PIECE_BYTES = 256 * 1024;

/**
 * Messages as they go over the wire, joined into one piece. The client makes a headers object, four encoded pieces and a copy
 * of each message; that was a tenth of what a turn cost.
 */
export class WireBatch {
  private readonly protocol: Protocol | undefined;
  private readonly maxPayload: number;
  private heads: string[] = [];
  private bodies: (Uint8Array | string)[] = [];
  private bytes = 0;
  private payload = 0;

  constructor(nc: NatsConnection) {
    this.protocol = protocolOf(nc);
    this.maxPayload = nc.info?.max_payload ?? 0;
  }

  /** False: it cannot be written here; the client publishes it, or says what is wrong with it. */
  add(subject: string, reply: string, headers: Readonly<Record<string, string>>, body: Uint8Array | string): boolean {
    if (this.protocol === undefined || !PLAIN.test(subject)) return false;
    const lines = headerLines(headers);
    if (lines === undefined) return false;
    const bodyBytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    const total = lines.length + bodyBytes;
    if (total > this.maxPayload) return false;
    const head =
      lines === ''
        ? `PUB ${subject} ${reply} ${total}\r\n`
        : `HPUB ${subject} ${reply} ${lines.length} ${total}\r\n${lines}`;
    this.heads.push(head);
    this.bodies.push(body);
    this.bytes += head.length + bodyBytes + 2;
    this.payload += total;
    if (this.bytes >= PIECE_BYTES) this.write();
    return true;
  }

  write(): void {
    const { protocol, heads, bodies } = this;
    if (protocol === undefined || heads.length === 0) return;
    const frame = Buffer.allocUnsafe(this.bytes);
    let at = 0;
    for (let i = 0; i < heads.length; i++) {
      at += frame.write(heads[i] as string, at, 'latin1');
      const body = bodies[i] as Uint8Array | string;
      if (typeof body === 'string') at += frame.write(body, at, 'utf8');
      else {
        frame.set(body, at);
        at += body.length;
      }
      frame[at++] = 0x0d;
      frame[at++] = 0x0a;
    }
    // The client's statistics; no caller waits for them.
    protocol.outMsgs += heads.length;
    protocol.outBytes += this.payload;
    [this.heads, this.bodies, this.bytes, this.payload] = [[], [], 0, 0];
    protocol.sendCommand(frame);
  }
}

/** Undefined when it is not the protocol that we know, and when the client is closed. */
function protocolOf(nc: NatsConnection): Protocol | undefined {
  const { protocol } = nc as unknown as { protocol?: Partial<Protocol> };
  const isKnown =
    typeof protocol?.sendCommand === 'function' &&
    typeof protocol.outMsgs === 'number' &&
    typeof protocol.outBytes === 'number' &&
    protocol.noMorePublishing === false;
  return isKnown ? (protocol as Protocol) : undefined;
}

/** Undefined when one of them is not plain: a line break in it would start a header, or a message, of its own. */
function headerLines(headers: Readonly<Record<string, string>>): string | undefined {
  let lines = '';
  for (const name in headers) {
    const value = headers[name];
    if (typeof value !== 'string' || !PLAIN_NAME.test(name) || !PLAIN_VALUE.test(value)) return undefined;
    lines += `${name}: ${value.trim()}\r\n`;
  }
  return lines === '' ? '' : `NATS/1.0\r\n${lines}\r\n`;
}
