import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { expect } from 'vitest';
import { Turn, type TurnStart } from '../turn.js';
import { AgentConnections } from './agent-connections.client.js';
import { callHttpAgent, type HttpAgentOptions } from './http-agent.client.js';

/** For specs: a real server on a free port as the agent, and turns that call it. */

export const JSON_TYPE = { 'content-type': 'application/json' };
export const STREAM_TYPE = { 'content-type': 'text/event-stream' };
export const TEXT_TYPE = { 'content-type': 'text/plain' };

type Answer = (response: ServerResponse, request: IncomingMessage, body: string) => void;

export function makeTurn(more: Partial<TurnStart> = {}): Turn {
  return new Turn({
    runId: 'r',
    attempt: 1,
    agentToken: 'main',
    sessionToken: 's',
    messages: [{ id: 'm', seq: 1, text: 'x' }],
    state: undefined,
    deadline: 5_000,
    signal: new AbortController().signal,
    trace: undefined,
    ...more,
  });
}

const started = new Set<() => Promise<void>>();

/** For `afterEach`. */
export async function closeAgents(): Promise<void> {
  for (const close of [...started]) await close();
}

export async function agent(answer: Answer, maxConnections = 16) {
  const sockets = new Set<Socket>();
  const requests: { readonly request: IncomingMessage; readonly body: string }[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      requests.push({ request, body });
      answer(response, request, body);
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/turn`;
  const connections = new AgentConnections(maxConnections);
  const close = async (): Promise<void> => {
    started.delete(close);
    await connections.close();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  started.add(close);
  return {
    url,
    /** All connections that were ever opened. */
    sockets,
    requests,
    call: (turn = makeTurn(), secret?: string, more: Partial<HttpAgentOptions> = {}) =>
      callHttpAgent(turn, { url, secret, ...more }, connections),
    close,
  };
}

/** An agent that gives each request the same answer. */
export const agentOf = (status: number, headers: Record<string, string>, body: string | Buffer = '') =>
  agent((response) => response.writeHead(status, headers).end(body));

/** Writes without end, as fast as the reader takes it. `written` counts the bytes. */
export function pour(response: ServerResponse, chunk: Buffer): { written: number } {
  const count = { written: 0 };
  const write = (): void => {
    while (!response.destroyed) {
      count.written += chunk.length;
      if (!response.write(chunk)) return;
    }
  };
  response.on('drain', write);
  write();
  return count;
}

/** The agent had the request, and its work is not known. */
export const noAnswer = expect.objectContaining({
  code: 'agent_no_answer',
  message: expect.stringMatching(/^the agent did not answer/),
  finding: { isUnclear: true },
});

export const cutAnswer = expect.objectContaining({
  code: 'agent_answer_cut',
  message: expect.stringMatching(/^the agent's answer broke off/),
  finding: expect.objectContaining({ isUnclear: true }),
});

export const unreachable = expect.objectContaining({
  code: 'agent_unreachable',
  retryAfterMs: 0,
  message: expect.stringMatching(/is it up, and is its url right\?$/),
});
