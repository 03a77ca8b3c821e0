import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

interface DemoMessage {
  readonly id: string;
  readonly text: string;
  readonly data: { readonly workMs: number };
}

export interface DemoAgent {
  readonly url: string;
  /** Message id -> time of `performance.now()` at which the agent was called with it. */
  readonly startedAt: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

/** Stands for a model: takes as long as each question needs, and answers it. Called over HTTP like any agent. */
export async function startDemoAgent(): Promise<DemoAgent> {
  const startedAt = new Map<string, number>();
  const server = createServer((request, response) => {
    void (async () => {
      const { messages } = (await json(request)) as { messages: DemoMessage[] };
      const replies: string[] = [];
      for (const { id, text, data } of messages) {
        startedAt.set(id, performance.now());
        await sleep(data.workMs);
        replies.push(
          text.includes('time') ? `It is ${new Date().toLocaleTimeString('en-GB')}.` : 'Here is the comparison …',
        );
      }
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ replies }));
    })().catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/turn`,
    startedAt,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
