import { MAX_EXCERPT_CHARS } from '#contracts';
import { hideSecrets } from './sent-secrets.js';

/** The beginning of what an agent wrote, as one line for people. It is content: shown only where contents may be. */
export function excerptOf(bytes: Buffer, secrets: readonly string[]): string {
  // Bytes that are no text show as what they are; half a character at the cut does not.
  const text = new TextDecoder().decode(bytes).replace(/\uFFFD$/, '');
  const line = hideSecrets(text, secrets)
    .replace(/[\p{C}\p{Z}]+/gu, ' ')
    .trim();
  return line.length > MAX_EXCERPT_CHARS ? `${line.slice(0, MAX_EXCERPT_CHARS - 1).toWellFormed()}…` : line;
}
