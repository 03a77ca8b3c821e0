/**
 * The wire form of agent names and session keys: one NATS subject token for any UTF-8 text.
 *
 * `[A-Za-z0-9_-]` stand for themselves, every other byte is `=XX` (upper-case hex). The encoding is valid in subjects
 * and KV keys, readable in the common case, reversible, and has exactly one form per text: two keys never have the same
 * token, and a token that changes by decoding and encoding was not made by us.
 */

const PLAIN = /^[A-Za-z0-9_-]+$/;
const HEX = '0123456789ABCDEF';

/** A session key may have at most this many UTF-8 bytes. */
export const MAX_SESSION_KEY_BYTES = 512;

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function isPlainByte(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x30 && byte <= 0x39) ||
    byte === 0x5f ||
    byte === 0x2d
  );
}

/** Encodes a non-empty text as one subject token. */
export function encodeToken(text: string): string {
  if (PLAIN.test(text)) return text;
  let token = '';
  for (const byte of encoder.encode(text)) {
    token += isPlainByte(byte) ? String.fromCharCode(byte) : `=${HEX[byte >> 4]}${HEX[byte & 15]}`;
  }
  return token;
}

/**
 * Decodes a token to its text, or returns `undefined` when the token is not the canonical encoding of any text
 * (lower-case hex, an escaped plain byte, invalid UTF-8, a character outside the alphabet, an empty token).
 */
export function decodeToken(token: string): string | undefined {
  if (PLAIN.test(token)) return token;
  const bytes: number[] = [];
  for (let i = 0; i < token.length; i++) {
    const char = token.charCodeAt(i);
    if (char !== 0x3d) {
      if (!isPlainByte(char)) return undefined;
      bytes.push(char);
      continue;
    }
    const high = HEX.indexOf(token[i + 1] ?? ' ');
    const low = HEX.indexOf(token[i + 2] ?? ' ');
    if (high < 0 || low < 0) return undefined;
    const byte = high * 16 + low;
    if (isPlainByte(byte)) return undefined;
    bytes.push(byte);
    i += 2;
  }
  if (bytes.length === 0) return undefined;
  try {
    return strictDecoder.decode(new Uint8Array(bytes));
  } catch {
    return undefined;
  }
}
