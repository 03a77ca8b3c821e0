import { request, type Dispatcher } from 'undici';
import type { LanekeeperError } from '#contracts';
import { AnswerError } from '../handler-answer.js';
import type { Turn } from '../turn.js';
import { type AgentConnections, MAX_HEADER_BYTES } from './agent-connections.client.js';
import { failureOfCall } from './agent-failures.js';
import { makeAgentRequest } from './agent-request.js';
import { errorOfStatus } from './agent-status.js';
import { brokenOff, contentTypeOf, eachChunk, headerOf, isStream, readBeginning } from './answer-body.js';
import { excerptOf } from './answer-excerpt.js';
import { readAnswerJson } from './answer-json.js';
import { AnswerStream } from './answer-stream.js';
import { sentSecrets } from './sent-secrets.js';

export interface HttpAgentOptions {
  /** Without credentials: they are in `headers`. */
  readonly url: string;
  /** Signs the requests. */
  readonly secret?: string | undefined;
  /** Headers that the operator adds to ours. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Longest silence of a stream - ms - default: as long as the turn may last. */
  readonly streamIdleMs?: number | undefined;
}

/**
 * Calls an agent over HTTP and returns what a local handler would return. The request closes when the turn's signal
 * aborts.
 */
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
    throw failureOfCall(error, bytes.length, MAX_HEADER_BYTES);
  }
  // A body that is destroyed before its end emits an error. Without a listener, it would end the process.
  response.body.on('error', () => {});
  const { statusCode: status } = response;
  if (status < 200 || status > 299) {
    throw await refusalOf(response, sentSecrets(ownHeaders ?? {}, secret));
  }
  if (status === 204 || status === 205) {
    await readBeginning(response);
    return undefined;
  }
  return readAnswer(response, streamIdleMs);
}

async function refusalOf(response: Dispatcher.ResponseData, secrets: readonly string[]): Promise<LanekeeperError> {
  const head = {
    status: response.statusCode,
    location: headerOf(response, 'location'),
    retryAfter: headerOf(response, 'retry-after'),
  };
  const excerpt = excerptOf(await readBeginning(response), secrets);
  const error = errorOfStatus(head, Date.now(), excerpt === '' ? undefined : excerpt);
  return error ?? new AnswerError(`status ${head.status}`);
}

async function readAnswer(response: Dispatcher.ResponseData, streamIdleMs: number | undefined): Promise<unknown> {
  try {
    if (isStream(response)) {
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
    const type = contentTypeOf(response);
    if (type === 'text/plain') return text;
    if (type === 'application/json') return parseJson(text, response);
    throw new AnswerError(`content type ${type === '' ? 'none' : JSON.stringify(type)}`);
  } finally {
    // On an early exit too, close the connection instead of reading to an end that may never come.
    response.body.destroy();
  }
}

function parseJson(text: string, response: Dispatcher.ResponseData): unknown {
  const answer = readAnswerJson(text);
  if (answer === undefined) throw brokenOff(response, 'application/json that is no JSON');
  // A handler in this process may return a bare string. The HTTP contract does not allow one.
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
    throw new AnswerError('application/json that is no object');
  }
  return answer;
}
