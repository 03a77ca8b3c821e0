import type { Readable } from 'node:stream';
import { request, type Dispatcher } from 'undici';
import { LanekeeperError } from '#contracts';
import { AnswerError } from '../handler-answer.js';
import type { Turn } from '../turn.js';
import { type AgentConnections, MAX_HEADER_BYTES, NotConnectedError } from './agent-connections.client.js';
import { answerCut, failureOfCall, streamIdle } from './agent-failures.js';
import { makeAgentRequest } from './agent-request.js';
import { errorOfStatus } from './agent-status.js';
import { excerptOf } from './answer-excerpt.js';
import { readAnswerJson } from './answer-json.js';
import { AnswerStream } from './answer-stream.js';
import { decodeBody, readEncodings } from './decode-body.js';
import { sentSecrets } from './sent-secrets.js';

/** A record holds 768 KiB, so nothing larger could be kept anyhow. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** So much of a refusal is read, and for so long: what its status says does not wait for more. */
const REFUSAL_BYTES = 16 * 1024;
const REFUSAL_MS = 500;

export interface HttpAgentOptions {
  /** Without credentials: those are among the headers. */
  readonly url: string;
  /** Signs the requests. */
  readonly secret?: string | undefined;
  /** Beside our own; of the operator. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** How long a stream may be silent - ms - default: as long as the turn may last. */
  readonly streamIdleMs?: number | undefined;
}

/** Calls an agent over HTTP. Answers what its handler would return; the request closes when the turn's signal aborts. */
export async function callHttpAgent(
  turn: Turn,
  { url, secret, headers: ownHeaders, streamIdleMs }: HttpAgentOptions,
  { dispatcher }: AgentConnections,
): Promise<unknown> {
  const { body, headers } = makeAgentRequest(turn, secret);
  const bytes = Buffer.from(body);
  let response: Dispatcher.ResponseData;
  try {
    response = await request(url, {
      method: 'POST',
      body: bytes,
      headers: { ...ownHeaders, ...headers, 'accept-encoding': 'identity' },
      dispatcher,
      signal: turn.signal,
    });
  } catch (error) {
    const isConnected = !(error instanceof NotConnectedError);
    throw failureOfCall(error, { isConnected, requestBytes: bytes.length }, MAX_HEADER_BYTES);
  }
  // A body that is destroyed before its end emits an error that nobody reads: unheard, it would end the process.
  response.body.on('error', () => {});
  const { statusCode: status } = response;
  if (status < 200 || status > 299) {
    throw await refusalOf(response, sentSecrets(ownHeaders ?? {}, secret));
  }
  if (status === 204 || status === 205) {
    await readRefusal(response);
    return undefined;
  }
  return readAnswer(response, streamIdleMs);
}

async function refusalOf(response: Dispatcher.ResponseData, secrets: readonly string[]): Promise<LanekeeperError> {
  const head = {
    status: response.statusCode,
    location: single(response.headers['location']),
    retryAfter: single(response.headers['retry-after']),
  };
  const excerpt = excerptOf(await readRefusal(response), secrets);
  const error = errorOfStatus(head, Date.now(), excerpt === '' ? undefined : excerpt);
  return error ?? new AnswerError(`status ${head.status}`);
}

async function readAnswer(response: Dispatcher.ResponseData, streamIdleMs: number | undefined): Promise<unknown> {
  try {
    const type = (single(response.headers['content-type']) ?? '').split(';', 1)[0]?.trim().toLowerCase();
    if (type === 'text/event-stream') {
      const stream = new AnswerStream();
      await eachChunk(response, (chunk) => stream.feed(chunk), streamIdleMs);
      return stream.finish();
    }
    let text = '';
    await eachChunk(response, (chunk) => {
      text += chunk;
      return false;
    });
    if (text === '') return undefined;
    if (type === 'text/plain') return text;
    if (type === 'application/json')
      return parseJson(text, () =>
        hasKnownEnd(response) ? new AnswerError('application/json that is no JSON') : answerCut(response.statusCode),
      );
    throw new AnswerError(`content type ${type === '' ? 'none' : JSON.stringify(type)}`);
  } finally {
    // Leaves early as well: the connection is closed rather than read to an end that may never come.
    response.body.destroy();
  }
}

function parseJson(text: string, noJson: () => LanekeeperError): unknown {
  const answer = readAnswerJson(text);
  if (answer === undefined) throw noJson();
  // A bare string is an answer of a handler in this process, but not one of the HTTP contract.
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
    throw new AnswerError('application/json that is no object');
  }
  return answer;
}

/** Decodes the body piece by piece, bounded; `take` answers true when it has all it wants. */
async function eachChunk(
  response: Dispatcher.ResponseData,
  take: (chunk: string) => boolean,
  idleMs?: number,
): Promise<void> {
  const { statusCode: status, headers, body } = response;
  const encodings = readEncodings(single(headers['content-encoding']));
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
      if (take(decode(decoder, chunk))) return;
    }
    take(decode(decoder, undefined));
  } catch (error) {
    if (error instanceof LanekeeperError) throw error;
    if (encodings.length === 0 || body.errored !== null) throw answerCut(status, error);
    if (!hasKnownEnd(response)) throw answerCut(status, error);
    throw new AnswerError(`a body that is no ${encodings.toReversed().join(', ')}`);
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

function decode(decoder: InstanceType<typeof TextDecoder>, chunk: Buffer | undefined): string {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch {
    throw new AnswerError('a body that is no UTF-8');
  }
}

/** Reads a short body to its end, so that the connection can be used again, and answers its beginning. */
async function readRefusal({ headers, body }: Dispatcher.ResponseData): Promise<Buffer> {
  const timer = setTimeout(() => body.destroy(), REFUSAL_MS);
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    const decoded = await decodeBody(body, readEncodings(single(headers['content-encoding'])));
    for await (const piece of decoded as AsyncIterable<Buffer>) {
      pieces.push(piece);
      bytes += piece.length;
      if (bytes > REFUSAL_BYTES) break;
    }
  } catch {
    // Whatever of it came.
  } finally {
    clearTimeout(timer);
    body.destroy();
  }
  return Buffer.concat(pieces);
}

/** A body without a length ends with its connection: then the end of a whole one looks like that of one that was cut. */
function hasKnownEnd({ headers }: Dispatcher.ResponseData): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
