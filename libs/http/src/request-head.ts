import type { FastifyRequest } from 'fastify';
import type { InputProblem } from '#contracts';

/**
 * Refuses heads that Node would change. Node reads a head as Latin-1, keeps one of two equal headers or joins them, and accepts
 * raw bytes in a path: a text would arrive as another one, and two different texts could become the same.
 */

interface ReadHeader {
  readonly field: string;
  /** A bit of its own for each header that may come once; 0 = a list, which may come in several lines. */
  readonly bit: number;
}

/** The headers that we read. Proxies may put anything into the others. */
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

/** A bit for each length of their names; all lengths are below 32. */
const LENGTHS = [...READ.keys()].reduce((bits, { length }) => bits | (1 << length), 0);

const VISIBLE = /^[\t\x20-\x7e]*$/;
const URL_CHARS = /^[\x21-\x7e]*$/;
const ENCODED = 'UTF-8, percent-encoded';

/** The first part of the head that would arrive changed; `undefined` = none. */
export function headProblem({ raw }: Pick<FastifyRequest, 'raw'>): InputProblem | undefined {
  const { url = '', rawHeaders } = raw;
  if (!URL_CHARS.test(url)) return { field: 'path', found: 'bytes that are no ASCII', wanted: ENCODED };
  if (!isDecodable(url)) return { field: 'query', found: 'bytes that are no UTF-8', wanted: ENCODED };
  let seen = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string;
    // The length alone excludes most headers.
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

/** The router checks the path itself; it does not check the query. */
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
