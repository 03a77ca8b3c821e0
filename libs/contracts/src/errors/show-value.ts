import { describeValue } from './describe-value.js';

const MAX_SHOWN_CHARS = 40;
/** Characters that would break a line, be invisible, or change the direction of the text around them. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/**
 * Shows a value to the person who wrote it: short texts in full, long ones cut. Use it for settings and for query fields. A
 * body contains what other people wrote, and problems end up in logs: for bodies use `describeValue`, which shows kind and
 * size.
 */
export function showValue(value: unknown): string {
  if (typeof value !== 'string' || value === '') return describeValue(value);
  const start = value.slice(0, MAX_SHOWN_CHARS).toWellFormed().replace(UNPRINTABLE, '\u{FFFD}');
  return value.length <= MAX_SHOWN_CHARS
    ? JSON.stringify(start)
    : `${JSON.stringify(`${start}…`)}, ${describeValue(value)}`;
}

/** Describes a value that may be a secret: by its kind, for a text also by its size. */
export function nameKind(value: unknown): string {
  return typeof value === 'number' || typeof value === 'bigint' ? 'a number' : describeValue(value);
}
