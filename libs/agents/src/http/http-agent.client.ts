import { Agent, request, type Dispatcher } from 'undici';
import { LanekeeperError } from '#contracts';
import { AnswerError } from '../handler-answer.js';
import type { Turn } from '../turn.js';
import { makeAgentRequest } from './agent-request.js';
import { errorOfStatus } from './agent-status.js';
import { readAnswerJson } from './answer-json.js';
import { AnswerStream } from './answer-stream.js';

/** A record holds 768 KiB, so nothing larger could be kept anyhow. */
const MAX_ANSWER_BYTES = 1024 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
const DISCARD_MS = 500;
/** Shorter than the idle timeouts of common servers and proxies, so that a request seldom meets a closing connection. */
const KEEP_ALIVE_MS = 4_000;

export interface HttpAgentOptions {
  readonly url: string;
  /** Signs the requests. */
  readonly secret?: string | undefined;
}

/** The connections of one worker to its agents: as many as turns may run at once, kept alive between turns. */
export class AgentConnections {
  readonly dispatcher: Agent;

  constructor(maxPerAgent: number) {
    this.dispatcher = new Agent({
      connections: maxPerAgent,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connect: { timeout: CONNECT_TIMEOUT_MS },
      // A turn has its own time limit; these would end a long silence of an agent that is only thinking.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  close(): Promise<void> {
    return this.dispatcher.destroy();
  }
}

/** Calls an agent over HTTP. Answers what its handler would return; the request closes when the turn's signal aborts. */
export async function callHttpAgent(
  turn: Turn,
  { url, secret }: HttpAgentOptions,
  { dispatcher }: AgentConnections,
): Promise<unknown> {
  const { body, headers } = makeAgentRequest(turn, secret);
  let response: Dispatcher.ResponseData;
  try {
    response = await request(url, { method: 'POST', body, headers, dispatcher, signal: turn.signal });
  } catch (error) {
    throw unreachable(error);
  }
  const head = {
    status: response.statusCode,
    location: single(response.headers['location']),
    retryAfter: single(response.headers['retry-after']),
  };
  const refusal = errorOfStatus(head, Date.now());
  if (refusal !== undefined || head.status === 204) {
    await discard(response);
    if (refusal !== undefined) throw refusal;
    return undefined;
  }
  return readAnswer(response);
}

async function readAnswer(response: Dispatcher.ResponseData): Promise<unknown> {
  // A body that is destroyed before its end emits an error that nobody reads: unheard, it would end the process.
  response.body.on('error', () => {});
  const type = (single(response.headers['content-type']) ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (type === 'text/event-stream') {
    const stream = new AnswerStream();
    await eachChunk(response, (chunk) => stream.feed(chunk));
    return stream.finish();
  }
  let text = '';
  await eachChunk(response, (chunk) => {
    text += chunk;
    return false;
  });
  if (text === '') return undefined;
  if (type === 'text/plain') return text;
  if (type === 'application/json') return parseJson(text);
  throw new AnswerError(`content type ${type === '' ? 'none' : JSON.stringify(type)}`);
}

function parseJson(text: string): unknown {
  const answer = readAnswerJson(text);
  if (answer === undefined) throw new AnswerError('application/json that is no JSON');
  // A bare string is an answer of a handler in this process, but not one of the HTTP contract.
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
    throw new AnswerError('application/json that is no object');
  }
  return answer;
}

/** Decodes the body piece by piece, bounded; `take` answers true when it has all it wants. */
async function eachChunk(response: Dispatcher.ResponseData, take: (chunk: string) => boolean): Promise<void> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let bytes = 0;
  try {
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) {
        throw new AnswerError(`more than ${MAX_ANSWER_BYTES} bytes (keep large results elsewhere and refer to them)`);
      }
      if (take(decode(decoder, chunk))) return;
    }
    take(decode(decoder, undefined));
  } catch (error) {
    throw error instanceof LanekeeperError ? error : unreachable(error);
  } finally {
    // Leaves the loop early as well: the connection is closed rather than read to an end that may never come.
    response.body.destroy();
  }
}

function decode(decoder: InstanceType<typeof TextDecoder>, chunk: Buffer | undefined): string {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch {
    throw new AnswerError('a body that is no UTF-8');
  }
}

/** Reads a short body to its end, so that the connection can be used again. What the status says does not wait for more. */
async function discard(response: Dispatcher.ResponseData): Promise<void> {
  await response.body.dump({ limit: 16 * 1024, signal: AbortSignal.timeout(DISCARD_MS) }).catch(() => {});
  response.body.destroy();
}

function unreachable(cause: unknown): LanekeeperError {
  const code = (cause as { code?: unknown } | null)?.code;
  const why = typeof code === 'string' ? code : cause instanceof Error ? cause.name : 'unknown reason';
  return new LanekeeperError(
    'agent_unreachable',
    `the agent did not answer (${why}): is it up, and is its url right?`,
    {
      cause,
    },
  );
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
