import { JsonText } from '../json/json-text.js';

/** Describes a value by its type and size, never by its content: problems end up in logs. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (value instanceof JsonText) return `JSON of ${value.bytes} bytes`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'string') return value === '' ? 'an empty text' : `a text of ${Buffer.byteLength(value)} bytes`;
  if (typeof value === 'object') return 'an object';
  return `the ${typeof value} ${String(value)}`;
}
