import { z } from 'zod';
import { readJson } from './json-read.js';
import { JsonText } from './json-text.js';
import { isRawNumber } from './json-numbers.js';
import { MAX_JSON_DEPTH, type JsonFault } from './json-walk.js';

export type MadeJson =
  { readonly ok: true; readonly json: JsonText } | { readonly ok: false; readonly fault: JsonFault };

const NO_JSON: JsonFault = { field: '', found: 'a value that JSON cannot hold', wanted: 'any JSON' };

/** The text of a value that was made in this process, under the same rules as for a value from outside. */
export function makeJson(value: unknown): MadeJson {
  // It was checked when it was read.
  if (value instanceof JsonText) return { ok: true, json: value };
  const json = JsonText.of(value);
  if (json === undefined) return { ok: false, fault: NO_JSON };
  const read = readJson(json.text, {});
  return read.ok ? { ok: true, json } : { ok: false, fault: read.fault ?? NO_JSON };
}

/** A field whose value is passed on without being read: from a text by `readJson`, or made in this process. */
export const carriedJson = (maxBytes = Number.POSITIVE_INFINITY) =>
  z.unknown().transform((value, context): JsonText => {
    const made = makeJson(value);
    const wanted = Number.isFinite(maxBytes) ? `any JSON of at most ${maxBytes} bytes` : 'any JSON';
    if (made.ok && made.json.bytes <= maxBytes) return made.json;
    const message = made.ok || made.fault === NO_JSON ? wanted : `${made.fault.wanted} (${made.fault.field})`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

/** Whether a value that was made in this process is JSON as it is: `JSON.stringify` would drop or change nothing. */
export function isJsonValue(value: unknown): boolean {
  return isJsonWithin(value, MAX_JSON_DEPTH);
}

function isJsonWithin(value: unknown, levels: number): boolean {
  if (typeof value !== 'object') return isScalar(value);
  if (value === null || value instanceof JsonText || isRawNumber(value)) return true;
  // Deeper values are refused by their depth.
  if (levels === 0) return true;
  if (Array.isArray(value)) return value.every((item) => isJsonWithin(item, levels - 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  return (
    (prototype === Object.prototype || prototype === null) &&
    Object.values(value).every((item) => isJsonWithin(item, levels - 1))
  );
}

function isScalar(value: unknown): boolean {
  return typeof value === 'number' ? Number.isFinite(value) : ['string', 'boolean', 'bigint'].includes(typeof value);
}
