import { createHmac, hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Call } from './history.js';
import { isConcurrent } from './sessions.js';

/**
 * The agent outside of all processes: it records every call and behaves as the messages say.
 *
 *   quick       an answer at once
 *   slow <ms>   an answer after that time
 *   fail <n>    the first n calls of the run get a 500
 *   later <n>   the first n calls get a 429 with Retry-After
 *   reset <n>   the connection of the first n calls breaks
 *   silent <n>  the first n calls get no answer at all
 *   refuse      400
 */
export interface ChaosAgent extends AsyncDisposable {
  readonly calls: readonly Call[];
  /** Where it is called: one address for the whole installation. */
  readonly url: string;
  /**
   * What a process has in its environment, so that it is known who called: a secret that signs its calls, and for calls of
   * its own an address.
   */
  envFor(life: string): NodeJS.ProcessEnv;
}

/** An idle connection of a process that is stopped stays usable: else its next call would fail through our fault. */
const KEEP_ALIVE_MS = 600_000;

interface Question {
  readonly runId: string;
  readonly attempt: number;
  readonly session: string;
  readonly deadline: string;
  readonly messages: readonly { readonly id: string; readonly seq: number; readonly text: string }[];
  readonly state: { readonly turns: number } | null;
  readonly task?: { readonly key: string; readonly token: number };
}

interface OpenCall extends Omit<Call, 'endedAt' | 'isHungUp' | 'isFailure'> {
  endedAt: number;
  isHungUp: boolean;
  isFailure: boolean;
}

/** `address` is where it listens: other networks do not reach 127.0.0.1. */
export async function startChaosAgent(address = '127.0.0.1'): Promise<ChaosAgent> {
  const calls: OpenCall[] = [];
  const callsOfRun = new Map<string, number>();
  const callers = new Callers();
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    readBody(request, (body) => {
      const question = JSON.parse(body) as Question;
      const call = record(question, body, callers.lifeOf(request, body), calls.length + 1);
      calls.push(call);
      response.on('close', () => {
        if (call.endedAt !== Number.POSITIVE_INFINITY) return;
        call.endedAt = Date.now();
        call.isHungUp = true;
      });
      const nth = (callsOfRun.get(question.runId) ?? 0) + 1;
      callsOfRun.set(question.runId, nth);
      behave(question, nth, call, response);
    });
  });
  server.requestTimeout = 0;
  server.listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    calls,
    url: `http://${address}:${port}/`,
    envFor: (life) => ({
      LANEKEEPER_AGENT_SECRET: callers.secretFor(life),
      CHAOS_AGENT_URL: `http://${address}:${port}/${encodeURIComponent(life)}`,
    }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** All processes of an installation call one address; the secrets of their own, which no bucket holds, tell them apart. */
class Callers {
  private readonly secrets = new Map<string, string>();

  secretFor(life: string): string {
    const secret = `the secret of ${life}`;
    this.secrets.set(life, secret);
    return secret;
  }

  lifeOf({ url = '/', headers }: IncomingMessage, body: string): string {
    if (url !== '/') return decodeURIComponent(url.slice(1));
    const signature = headers['x-lanekeeper-signature'];
    for (const [life, secret] of this.secrets) {
      if (signature === `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`) return life;
    }
    throw new Error('a call of no process that was started');
  }
}

function readBody(request: IncomingMessage, then: (body: string) => void): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => then(Buffer.concat(chunks).toString()));
}

function record(
  { runId, attempt, session, messages, task }: Question,
  body: string,
  life: string,
  n: number,
): OpenCall {
  const digest = hash(
    'sha256',
    body.replace(/"attempt":\d+|"deadline":"[^"]*"|,"task":\{[^}]*\}/g, ''),
    'base64url',
  ).slice(0, 12);
  return {
    ...{ n, session, runId, attempt, digest, life },
    ...(task === undefined ? {} : { task: { key: task.key, token: task.token } }),
    messages: messages.map(({ id, seq }) => ({ id, seq })),
    startedAt: Date.now(),
    endedAt: Number.POSITIVE_INFINITY,
    isHungUp: false,
    isFailure: false,
  };
}

/** Of several messages the first that wants something counts. */
function behave({ messages, state }: Question, nth: number, call: OpenCall, response: ServerResponse): void {
  const [word, value] = (messages.find(({ text }) => text !== 'quick')?.text ?? 'quick').split(' ');
  const finish = (status: number, headers: Record<string, string> = {}, body = ''): void => {
    if (response.destroyed || call.endedAt !== Number.POSITIVE_INFINITY) return;
    call.endedAt = Date.now();
    call.isFailure = status >= 400;
    response.writeHead(status, headers).end(body);
  };
  const succeed = (): void => {
    // Beside others a turn may not replace the state.
    const kept = isConcurrent(call.session) ? {} : { state: { turns: (state?.turns ?? 0) + 1 } };
    const answer = { replies: [`call ${call.n}`], ...kept };
    finish(200, { 'content-type': 'application/json' }, JSON.stringify(answer));
  };
  if (word === 'slow') return void setTimeout(succeed, Number(value));
  if (word === 'refuse') return finish(400);
  if (word === 'quick' || nth > Number(value)) return succeed();
  if (word === 'fail') finish(500);
  if (word === 'later') finish(429, { 'retry-after': '1' });
  if (word === 'reset') {
    call.endedAt = Date.now();
    call.isFailure = true;
    response.destroy();
  }
}
