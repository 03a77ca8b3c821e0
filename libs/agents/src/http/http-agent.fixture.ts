import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Turn, type TurnStart } from '../turn.js';
import { AgentConnections, callHttpAgent } from './http-agent.client.js';

/** For specs: a real server on a free port as the agent, and turns that call it. */

export type Answer = (response: ServerResponse, request: IncomingMessage, body: string) => void;

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

export async function startAgent(answer: Answer, maxConnections = 16) {
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
  return {
    url,
    /** All connections that were ever made. */
    sockets,
    requests,
    call: (turn = makeTurn(), secret?: string) => callHttpAgent(turn, { url, secret }, connections),
    close: async () => {
      await connections.close();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
