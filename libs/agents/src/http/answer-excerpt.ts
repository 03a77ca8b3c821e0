import { MAX_EXCERPT_CHARS } from '#contracts';
import { hideSecrets } from './sent-secrets.js';

/**
 * The beginning of an agent's answer as one line for people. It is content, so it is shown only where contents are
 * allowed.
 */
export function excerptOf(bytes: Buffer, secrets: readonly string[]): string {
  // Invalid bytes show as U+FFFD. Half a character at the cut is removed.
  const text = new TextDecoder().decode(bytes).replace(/\uFFFD$/, '');
  const line = hideSecrets(text, secrets)
    .replace(/[\p{C}\p{Z}]+/gu, ' ')
    .trim();
  return line.length > MAX_EXCERPT_CHARS ? `${line.slice(0, MAX_EXCERPT_CHARS - 1).toWellFormed()}…` : line;
}
