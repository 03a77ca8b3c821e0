import Negotiator from 'negotiator';
import { readTraceContext, type TraceContext } from '#telemetry';

/** Reads header fields that all roles share. */

/** The trace of the caller, which the work for this request continues. */
export function readTrace(headers: Readonly<Record<string, string | string[] | undefined>>): TraceContext | undefined {
  return readTraceContext((name) => {
    const value = headers[name];
    return Array.isArray(value) ? value[0] : value;
  });
}

/** Ranges that hold one of the types that we answer with. */
const JSON_RANGES: ReadonlySet<string> = new Set([
  '*/*',
  'application/*',
  'application/json',
  'application/problem+json',
]);

/**
 * We answer JSON; a client that accepts nothing but an event stream learns it before anything is stored. Parameters of a
 * range do not count: some clients ask for `application/json;odata=verbose`.
 */
export function acceptsJson(accept: string | undefined): boolean {
  // An empty header says nothing; the library takes it for "no type at all".
  if (accept === undefined || accept === '') return true;
  const ranges = new Negotiator({ headers: { accept } }).mediaTypes();
  return ranges.some((range) => JSON_RANGES.has(range.toLowerCase()));
}
