import { once } from 'node:events';
import { pipeline, type Readable, type Transform } from 'node:stream';
import * as zlib from 'node:zlib';
import { AnswerError } from '../handler-answer.js';

/**
 * Why not undici's `interceptors.decompress` (7.30)? It hides the `Content-Length`, which tells a broken body from a
 * cut one. It does not count compressed bytes or report them as activity. It passes unknown encodings through, cannot
 * read raw deflate, and runs for every call. It is experimental, and prints a warning at each start.
 */

/**
 * Requests ask for plain bytes, but some servers and proxies compress anyway. More than two encodings in a row are
 * refused.
 */
const MOST_ENCODINGS = 2;
/** The lower half of the first byte of a zlib stream. Some servers send raw deflate, which never begins with it. */
const ZLIB_METHOD = 8;

/** The encodings of a body, in the order of decoding. Throws `AnswerError` for an unknown one. */
export function readEncodings(header: string | undefined): readonly string[] {
  const names = (header ?? '').split(',').map((name) => name.trim().toLowerCase());
  const encodings = names.filter((name) => name !== '' && name !== 'identity').toReversed();
  const isKnown = encodings.length <= MOST_ENCODINGS && encodings.every((name) => DECODERS.has(name));
  if (isKnown) return encodings;
  throw new AnswerError(`content encoding ${JSON.stringify(names.join(', ').slice(0, 64))}`);
}

/** The decoded body. Destroying it destroys the original body too, and errors of the body reach it. */
export async function decodeBody(body: Readable, encodings: readonly string[]): Promise<Readable> {
  let decoded = body;
  for (const name of encodings) {
    const decoder = (await DECODERS.get(name)?.(decoded)) as Transform;
    pipeline(decoded, decoder, () => {});
    decoded = decoder;
  }
  return decoded;
}

type MakeDecoder = (body: Readable) => Transform | Promise<Transform>;

const DECODERS: ReadonlyMap<string, MakeDecoder> = new Map<string, MakeDecoder>([
  ['gzip', () => zlib.createGunzip()],
  ['x-gzip', () => zlib.createGunzip()],
  ['br', () => zlib.createBrotliDecompress()],
  ['deflate', inflate],
  // Some versions of Node lack it.
  ...('createZstdDecompress' in zlib ? [['zstd', () => zlib.createZstdDecompress()] as const] : []),
]);

async function inflate(body: Readable): Promise<Transform> {
  const first = await firstByte(body);
  return first !== undefined && (first & 0x0f) !== ZLIB_METHOD ? zlib.createInflateRaw() : zlib.createInflate();
}

async function firstByte(body: Readable): Promise<number | undefined> {
  if (body.readableLength === 0 && !body.readableEnded) await once(body, 'readable');
  const piece = body.read() as Buffer | null;
  if (piece === null) return undefined;
  body.unshift(piece);
  return piece[0];
}
