import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

interface SeenMessage {
  readonly id: string;
  readonly text?: string;
  readonly channel?: string;
  readonly thread?: string;
  readonly author?: { readonly id: string };
  readonly late?: boolean;
}

/** What an agent gets with each call, and when. */
export interface AgentCall {
  readonly at: number;
  readonly headers: IncomingHttpHeaders;
  readonly raw: string;
  readonly runId: string;
  readonly attempt: number;
  readonly session: string;
  readonly deadline: string;
  readonly state: unknown;
  /** The task of its message, as it is held. */
  readonly task?: { readonly key: string; readonly token: number };
  readonly message: SeenMessage;
  readonly messages: readonly SeenMessage[];
  /** Resolves when the caller has closed the request before it was answered. */
  readonly closed: Promise<void>;
}

export type AgentBehaviour = (call: AgentCall, response: ServerResponse, count: number) => void | Promise<void>;

export interface RecordingAgent extends AsyncDisposable {
  readonly url: string;
  readonly calls: readonly AgentCall[];
  /** The nth call (from 1), when it comes. */
  call(n: number): Promise<AgentCall>;
}

/** An agent over HTTP outside of all our processes, that records what it gets and behaves as the test says. */
export async function startAgent(behave: AgentBehaviour): Promise<RecordingAgent> {
  const calls: AgentCall[] = [];
  const waiting = new Map<number, (call: AgentCall) => void>();
  const server = createServer((request, response) => {
    void text(request).then((raw) => {
      const closed = new Promise<void>((resolve) => {
        response.on('close', () => {
          if (!response.writableFinished) resolve();
        });
      });
      const call = { ...(JSON.parse(raw) as AgentCall), at: Date.now(), headers: request.headers, raw, closed };
      calls.push(call);
      waiting.get(calls.length)?.(call);
      return behave(call, response, calls.length);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/turn`,
    calls,
    call: (n) => {
      const known = calls[n - 1];
      return known === undefined ? new Promise((resolve) => waiting.set(n, resolve)) : Promise.resolve(known);
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export function answerJson(response: ServerResponse, body: object, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

export function answerStatus(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  response.writeHead(status, headers);
  response.end();
}
