import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { LanekeeperError } from '#contracts';
import { AnswerError } from '../handler-answer.js';
import { answerCut, streamIdle } from './agent-failures.js';
import { decodeBody, readEncodings } from './decode-body.js';

/** Reads the bytes of an agent's answer: size limit, time limit, decoding to text. Other files interpret the text. */

/** A record holds 768 KiB, so a larger answer could not be stored. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** Limits for reading a refusal. Its status is clear without the rest. */
const BEGINNING_BYTES = 16 * 1024;
const BEGINNING_MS = 500;

/** Decodes the body in chunks, up to the size limit. `take` returns true when it needs no more. */
export async function eachChunk(
  response: Dispatcher.ResponseData,
  take: (chunk: string) => boolean,
  idleMs?: number,
): Promise<void> {
  const { statusCode: status, body } = response;
  const encodings = readEncodings(headerOf(response, 'content-encoding'));
  const decoder = new TextDecoder('utf-8', { fatal: true });
  // Any byte shows that the agent is alive, also one of a comment.
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

/**
 * Watches the compressed bytes: they may be larger than the decoded ones, and may arrive while no decoded chunk comes
 * out.
 */
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

/** Without `chunk` the body is at its end. Half a character there may also mean that the body was cut. */
function decode(decoder: InstanceType<typeof TextDecoder>, response: Dispatcher.ResponseData, chunk?: Buffer): string {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch {
    const found = 'a body that is no UTF-8';
    throw chunk === undefined ? brokenOff(response, found) : new AnswerError(found);
  }
}

/** Reads a short body to its end, so that the connection can be reused, and returns its beginning. */
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
    // Return the part that arrived.
  } finally {
    clearTimeout(timer);
    body.destroy();
  }
  return Buffer.concat(pieces);
}

/** The body ended and is not complete: either the answer breaks the contract, or it was cut. */
export function brokenOff(response: Dispatcher.ResponseData, found: string, cause?: unknown): LanekeeperError {
  return hasKnownEnd(response) ? new AnswerError(found) : answerCut(response.statusCode, cause);
}

/**
 * Whether the end of the body is marked. A body without a length ends with its connection, so a cut looks the same as
 * an end. The same is true of a stream that ends before its `done`.
 */
function hasKnownEnd(response: Dispatcher.ResponseData): boolean {
  if (isStream(response)) return false;
  const { headers } = response;
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

export function isStream(response: Dispatcher.ResponseData): boolean {
  return contentTypeOf(response) === 'text/event-stream';
}

/** Content type without its parameters. */
export function contentTypeOf(response: Dispatcher.ResponseData): string {
  return (headerOf(response, 'content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** The value of a header. The first one if it is repeated. */
export function headerOf({ headers }: Dispatcher.ResponseData, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}
