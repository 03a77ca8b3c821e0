import { isAscii } from 'node:buffer';

/** Keeps U+FEFF where it stands: within a text it is a character like any other. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of bytes that came from outside; `undefined` when they are no UTF-8, which would be another text once decoded. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  // Most are ASCII, and a copy of those is all that it takes.
  if (isAscii(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}
