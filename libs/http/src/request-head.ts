import type { FastifyRequest } from 'fastify';
import type { InputProblem } from '#contracts';

/**
 * Node reads a request's head byte by byte as Latin-1, keeps one of two headers or joins them, and takes raw bytes in a
 * path: what came would be another text than was sent, and two that differ could become one.
 */

interface ReadHeader {
  readonly field: string;
  /** Of its own for each that means one thing; 0 = it is a list, which may stand in several lines. */
  readonly bit: number;
}

/** The headers that we read. Others are the business of proxies, which may say there what they like. */
const READ: ReadonlyMap<string, ReadHeader> = new Map(
  (
    [
      ['Host', 1],
      ['Origin', 2],
      ['Content-Type', 4],
      ['Content-Encoding', 8],
      ['Idempotency-Key', 16],
      ['traceparent', 32],
      ['tracestate', 0],
      ['Accept', 0],
    ] as const
  ).map(([field, bit]) => [field.toLowerCase(), { field, bit }]),
);

/** A bit for each length of their names; all are below 32. */
const LENGTHS = [...READ.keys()].reduce((bits, { length }) => bits | (1 << length), 0);

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
    const name = rawHeaders[at] as string;
    // Most are told apart by their lengths alone.
    if ((LENGTHS & (1 << name.length)) === 0) continue;
    const read = READ.get(name.toLowerCase());
    if (read === undefined) continue;
    const { field, bit } = read;
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
