import { isUtf8 } from 'node:buffer';

/** The replacement for bytes that are not UTF-8 once they are decoded. */
const REPLACEMENT = '\ufffd';

/** The text of bytes from outside; `undefined` when they are not UTF-8, since decoding would give another text. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = buffer.toString('utf8');
  // The sender may also have sent this character.
  return text.includes(REPLACEMENT) && !isUtf8(buffer) ? undefined : text;
}
