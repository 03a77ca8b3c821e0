import { once } from 'node:events';
import { pipeline, type Readable, type Transform } from 'node:stream';
import * as zlib from 'node:zlib';
import { AnswerError } from '../handler-answer.js';

/**
 * Why not undici's `interceptors.decompress` (7.30): it hides the `Content-Length` that tells a broken body from one that was cut,
 * counts no compressed bytes and shows none as a sign of life, passes encodings on that it does not know, cannot read raw
 * deflate, and stands in the way of every call. It is experimental, and says so on stderr at each start.
 */

/** Agents are asked for plain bytes; some servers and proxies compress all the same. More than two in a row is no answer. */
const MOST_ENCODINGS = 2;
/** The lower half of the first byte of a zlib stream; a raw deflate stream, which some servers send, never begins so. */
const ZLIB_METHOD = 8;

/** The encodings of a body, in the order in which they are taken off. Throws `AnswerError` for what cannot be read. */
export function readEncodings(header: string | undefined): readonly string[] {
  const names = (header ?? '').split(',').map((name) => name.trim().toLowerCase());
  const encodings = names.filter((name) => name !== '' && name !== 'identity').toReversed();
  const isKnown = encodings.length <= MOST_ENCODINGS && encodings.every((name) => DECODERS.has(name));
  if (isKnown) return encodings;
  throw new AnswerError(`content encoding ${JSON.stringify(names.join(', ').slice(0, 64))}`);
}

/** The body without its encodings. To destroy it ends the body too, and an error of the body becomes one of it. */
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
  // Not in every Node.
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
