const PREFIX = 'HTTP/1.';
const STATUS_AT = PREFIX.length + 2;
/** Bytes of a status line that are needed to tell its kind. */
const KIND_BYTES = STATUS_AT + 3;
const LF = 0x0a;
const CR = 0x0d;
const ONE = 0x31;
/** `101` ends HTTP on this connection, so it is not an interim response. */
const SWITCHING = '101';

type Place =
  /** No byte of the next response has arrived. */
  | 'before'
  /** Inside the head of an interim response. */
  | 'interim'
  /** In the final response, or after it. */
  | 'within';

/**
 * Removes interim responses (100 Continue, 103 Early Hints …) from the input of a connection. A client must skip any
 * number of them, also unrequested ones (RFC 9110, 15.2). undici closes the connection at a 100, which would end the
 * turn.
 *
 *   within --a request goes out--> before --1xx--> interim --empty line--> before
 *                                  before --anything else--> within
 */
export class InterimResponses {
  private place: Place = 'within';
  /** The beginning of a status line, too short to tell its kind. */
  private held: Buffer = Buffer.alloc(0);
  /** Length of the current line of an interim head, without its line end. */
  private lineBytes = 0;

  /** A request was sent. The next input is its response. */
  expect(): void {
    this.place = 'before';
  }

  /** The rest of a chunk without interim responses. `undefined`: nothing is left. */
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
