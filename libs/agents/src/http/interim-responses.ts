const PREFIX = 'HTTP/1.';
const STATUS_AT = PREFIX.length + 2;
/** As long as a status line has to be to tell its kind. */
const KIND_BYTES = STATUS_AT + 3;
const LF = 0x0a;
const CR = 0x0d;
const ONE = 0x31;
/** `101`: it ends HTTP on this connection, so it is no interim response. */
const SWITCHING = '101';

type Place =
  /** Nothing of the next response has come. */
  | 'before'
  /** Inside the head of an interim response. */
  | 'interim'
  /** In the response that counts, or behind it. */
  | 'within';

/**
 * Takes interim responses (100 Continue, 103 Early Hints …) out of what comes in on a connection. A client has to read past
 * any number of them, also of those that it did not ask for (RFC 9110, 15.2); undici ends the connection at a 100, and its
 * turn with it.
 *
 *   within --a request goes out--> before --1xx--> interim --empty line--> before
 *                                  before --anything else--> within
 */
export class InterimResponses {
  private place: Place = 'within';
  /** The beginning of a status line that is too short to tell anything. */
  private held: Buffer = Buffer.alloc(0);
  /** Bytes of the current line of an interim head, without its end. */
  private lineBytes = 0;

  /** A request goes out: the next that comes in is a response to it. */
  expect(): void {
    this.place = 'before';
  }

  /** What is left of a piece; `undefined` = nothing. */
  pass(piece: Buffer): Buffer | undefined {
    if (this.place === 'within') return piece;
    let rest = this.held.length === 0 ? piece : Buffer.concat([this.held, piece]);
    this.held = Buffer.alloc(0);
    while (rest.length > 0) {
      if (this.place === 'interim') {
        rest = this.skipHead(rest);
      } else if (isInterim(rest)) {
        this.place = 'interim';
        this.lineBytes = 0;
      } else if (mayBecomeInterim(rest)) {
        this.held = rest;
        return undefined;
      } else {
        this.place = 'within';
        return rest;
      }
    }
    return undefined;
  }

  private skipHead(bytes: Buffer): Buffer {
    for (const [i, byte] of bytes.entries()) {
      if (byte === LF && this.lineBytes === 0) {
        this.place = 'before';
        return bytes.subarray(i + 1);
      }
      if (byte === LF) this.lineBytes = 0;
      else if (byte !== CR) this.lineBytes++;
    }
    return Buffer.alloc(0);
  }
}

function isInterim(bytes: Buffer): boolean {
  if (bytes.length < KIND_BYTES || !bytes.toString('latin1', 0, PREFIX.length).startsWith(PREFIX)) return false;
  return bytes[STATUS_AT] === ONE && bytes.toString('latin1', STATUS_AT, KIND_BYTES) !== SWITCHING;
}

function mayBecomeInterim(bytes: Buffer): boolean {
  if (bytes.length >= KIND_BYTES) return false;
  const known = Math.min(bytes.length, PREFIX.length);
  return bytes.toString('latin1', 0, known) === PREFIX.slice(0, known);
}
