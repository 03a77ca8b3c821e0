import { describeValue } from './describe-value.js';

const MAX_SHOWN_CHARS = 40;
/** What would break a line, hide itself, or turn the text around it. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/**
 * Shows a value to its writer: short texts as they stand, of long ones the beginning. It is for settings and for query
 * fields. What a body holds people may have written, and problems end up in logs: `describeValue` names its kind and size.
 */
export function showValue(value: unknown): string {
  if (typeof value !== 'string' || value === '') return describeValue(value);
  const start = value.slice(0, MAX_SHOWN_CHARS).toWellFormed().replace(UNPRINTABLE, '\u{FFFD}');
  return value.length <= MAX_SHOWN_CHARS
    ? JSON.stringify(start)
    : `${JSON.stringify(`${start}…`)}, ${describeValue(value)}`;
}

/** Names a value that may be a secret: by its kind, of a text also by its size. */
export function nameKind(value: unknown): string {
  return typeof value === 'number' || typeof value === 'bigint' ? 'a number' : describeValue(value);
}
