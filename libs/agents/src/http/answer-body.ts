import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { LanekeeperError } from '#contracts';
import { AnswerError } from '../handler-answer.js';
import { answerCut, streamIdle } from './agent-failures.js';
import { decodeBody, readEncodings } from './decode-body.js';

/** Reads the bytes of an agent's answer: how many, for how long, and as which text. What they mean is decided elsewhere. */

/** A record holds 768 KiB, so nothing larger could be kept anyhow. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** So much of a refusal is read, and for so long: what its status says does not wait for more. */
const BEGINNING_BYTES = 16 * 1024;
const BEGINNING_MS = 500;

/** Decodes the body piece by piece, bounded; `take` answers true when it has all it wants. */
export async function eachChunk(
  response: Dispatcher.ResponseData,
  take: (chunk: string) => boolean,
  idleMs?: number,
): Promise<void> {
  const { statusCode: status, body } = response;
  const encodings = readEncodings(headerOf(response, 'content-encoding'));
  const decoder = new TextDecoder('utf-8', { fatal: true });
  // Any byte is a sign of life, also of a comment.
  const silence = idleMs === undefined ? undefined : setTimeout(() => body.destroy(streamIdle(status, idleMs)), idleMs);
  let bytes = 0;
  try {
    const decoded: Readable = encodings.length === 0 ? body : await decodeBody(body, encodings);
    if (decoded !== body) watchEncoded(body, () => silence?.refresh());
    for await (const chunk of decoded as AsyncIterable<Buffer>) {
      silence?.refresh();
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) throw tooLarge();
      if (take(decode(decoder, response, chunk))) return;
    }
    take(decode(decoder, response));
  } catch (error) {
    if (error instanceof LanekeeperError) throw error;
    if (encodings.length === 0 || body.errored !== null) throw answerCut(status, error);
    throw brokenOff(response, `a body that is no ${encodings.toReversed().join(', ')}`, error);
  } finally {
    clearTimeout(silence);
  }
}

/** What is compressed may be much more than what it unfolds to, and silent at its other end. */
function watchEncoded(body: Readable, onSign: () => void): void {
  let bytes = 0;
  body.on('data', (chunk: Buffer) => {
    onSign();
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) body.destroy(tooLarge());
  });
}

function tooLarge(): AnswerError {
  return new AnswerError(`more than ${MAX_ANSWER_BYTES} bytes (keep large results elsewhere and refer to them)`);
}

/** Without a chunk the body is at its end, where half a character may also be what a cut has left. */
function decode(decoder: InstanceType<typeof TextDecoder>, response: Dispatcher.ResponseData, chunk?: Buffer): string {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch {
    const found = 'a body that is no UTF-8';
    throw chunk === undefined ? brokenOff(response, found) : new AnswerError(found);
  }
}

/** Reads a short body to its end, so that the connection can be used again, and answers its beginning. */
export async function readBeginning(response: Dispatcher.ResponseData): Promise<Buffer> {
  const { body } = response;
  const timer = setTimeout(() => body.destroy(), BEGINNING_MS);
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    const decoded = await decodeBody(body, readEncodings(headerOf(response, 'content-encoding')));
    for await (const piece of decoded as AsyncIterable<Buffer>) {
      pieces.push(piece);
      bytes += piece.length;
      if (bytes > BEGINNING_BYTES) break;
    }
  } catch {
    // Whatever of it came.
  } finally {
    clearTimeout(timer);
    body.destroy();
  }
  return Buffer.concat(pieces);
}

/** A body has come to its end and is not whole: an answer that breaks the contract, or one that was cut. */
export function brokenOff(response: Dispatcher.ResponseData, found: string, cause?: unknown): LanekeeperError {
  return hasKnownEnd(response) ? new AnswerError(found) : answerCut(response.statusCode, cause);
}

/**
 * A body without a length ends with its connection: then the end of a whole one looks like that of one that was cut. So does
 * each end of a stream before its `done`.
 */
function hasKnownEnd(response: Dispatcher.ResponseData): boolean {
  if (isStream(response)) return false;
  const { headers } = response;
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

export function isStream(response: Dispatcher.ResponseData): boolean {
  return contentTypeOf(response) === 'text/event-stream';
}

/** Without its parameters. */
export function contentTypeOf(response: Dispatcher.ResponseData): string {
  return (headerOf(response, 'content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** Of a header that stands there twice the first counts. */
export function headerOf({ headers }: Dispatcher.ResponseData, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}
