import { isUtf8 } from 'node:buffer';

/** What stands for bytes that are no UTF-8 once they are decoded. */
const REPLACEMENT = '\ufffd';

/** The text of bytes that came from outside; `undefined` when they are no UTF-8, which would be another text once decoded. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = buffer.toString('utf8');
  // It may also have been sent.
  return text.includes(REPLACEMENT) && !isUtf8(buffer) ? undefined : text;
}
