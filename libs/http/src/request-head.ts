import type { FastifyRequest } from 'fastify';
import type { InputProblem } from '#contracts';

/**
 * Node reads a request's head byte by byte as Latin-1, keeps one of two headers or joins them, and takes raw bytes in a
 * path: what came would be another text than was sent, and two that differ could become one.
 */

/** The headers that we read: a bit of its own for each that means one thing, 0 for a list. Proxies may add others as they like. */
const READ: ReadonlyMap<string, number> = new Map([
  ['host', 1],
  ['origin', 2],
  ['content-type', 4],
  ['content-encoding', 8],
  ['idempotency-key', 16],
  ['traceparent', 32],
  ['tracestate', 0],
  ['accept', 0],
]);

const VISIBLE = /^[\t\x20-\x7e]*$/;
const URL_CHARS = /^[\x21-\x7e]*$/;
const ENCODED = 'UTF-8, percent-encoded';

/** What cannot be taken as it was sent; `undefined` = nothing. */
export function headProblem({ raw }: Pick<FastifyRequest, 'raw'>): InputProblem | undefined {
  const { url = '', rawHeaders } = raw;
  if (!URL_CHARS.test(url)) return { field: 'path', found: 'bytes that are no ASCII', wanted: ENCODED };
  if (!isDecodable(url)) return { field: 'query', found: 'bytes that are no UTF-8', wanted: ENCODED };
  let seen = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const field = rawHeaders[at] as string;
    const bit = READ.get(field.toLowerCase());
    if (bit === undefined) continue;
    const value = rawHeaders[at + 1] as string;
    if (!VISIBLE.test(value)) return { field, found: 'bytes that are no visible ASCII', wanted: 'visible ASCII' };
    if ((seen & bit) !== 0) return { field, found: 'this header twice', wanted: 'it once' };
    seen |= bit;
  }
  return undefined;
}

/** Of a path the router says it itself; a query it would take as it stands there. */
function isDecodable(url: string): boolean {
  const query = url.indexOf('?');
  if (query === -1 || !url.includes('%', query)) return true;
  try {
    decodeURIComponent(url.slice(query));
    return true;
  } catch {
    return false;
  }
}
