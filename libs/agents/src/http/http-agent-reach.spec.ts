import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { RetryLaterError } from '#contracts';
import { AgentConnections } from './agent-connections.client.js';
import { failureOfCall, NotConnectedError } from './agent-failures.js';
import { callHttpAgent } from './http-agent.client.js';
import { agent, closeAgents, JSON_TYPE, makeTurn, noAnswer, unreachable } from './http-agent.fixture.js';

/** An agent that got no byte of a request has not begun: it is asked again, and no attempt is used. */

let connections = new AgentConnections(4);
const servers: Server[] = [];

afterEach(async () => {
  await connections.close();
  connections = new AgentConnections(4);
  for (const server of servers.splice(0)) server.close();
  await closeAgents();
});

async function tcpServer(onConnection: Parameters<typeof createServer>[1]): Promise<number> {
  const server = createServer(onConnection).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const failure = (url: string) => callHttpAgent(makeTurn(), { url }, connections).catch((caught: unknown) => caught);

describe('an agent without a connection is "later"', () => {
  it('L6 where no server listens, and says so', async () => {
    const port = await tcpServer(() => {});
    servers[0]?.close();
    await once(servers.pop() as Server, 'close');
    for (const host of ['127.0.0.1', 'localhost']) {
      const error = await failure(`http://${host}:${port}/SECRET`);
      expect(error).toBeInstanceOf(RetryLaterError);
      expect(error).toEqual(unreachable);
      expect(error).toMatchObject({ message: expect.stringMatching(/^(?!.*SECRET).*\(ECONNREFUSED\)/) });
    }
  });

  it('L6 where its name is not known', async () => {
    const error = await failure('http://no-such-agent.invalid/');
    expect(error).toEqual(unreachable);
    expect(error).toMatchObject({ message: expect.stringMatching(/\((ENOTFOUND|EAI_AGAIN)\)/) });
  });

  it.each<[string, (socket: Socket) => void]>([
    ['resets', (socket) => socket.on('data', () => socket.resetAndDestroy()).on('error', () => {})],
    ['closes', (socket) => socket.on('error', () => {}).end()],
    ['is no TLS', (socket) => socket.on('error', () => {}).end('HTTP/1.1 200 OK\r\n\r\n')],
  ])('L6 where TLS is not ready: its peer %s', async (_title, onConnection) => {
    const port = await tcpServer(onConnection);
    expect(await failure(`https://127.0.0.1:${port}/`)).toEqual(unreachable);
  });

  it('but one that had the request and reset the connection is not', async () => {
    const port = await tcpServer((socket) => socket.on('error', () => {}).on('data', () => socket.resetAndDestroy()));
    expect(await failure(`http://127.0.0.1:${port}/`)).toEqual(noAnswer);
  });
});

describe('failureOfCall', () => {
  const of = (error: object, requestBytes = 500) => failureOfCall(error, requestBytes, 1);
  const isLater = (error: unknown): boolean => error instanceof RetryLaterError;

  it.each([
    'ECONNREFUSED',
    'ENOTFOUND',
    'EAI_AGAIN',
    'EHOSTUNREACH',
    'ETIMEDOUT',
    'UND_ERR_CONNECT_TIMEOUT',
    'EPROTO',
    'ECONNRESET',
  ])('L6 %s before there is a connection is later', (code) =>
    expect(isLater(of(new NotConnectedError({ code })))).toBe(true),
  );

  it.each(['ECONNRESET', 'EPIPE'])(
    'L6 %s of a write that took nothing is later, and of one that may have sent some is not',
    (code) => {
      expect(isLater(of({ code, syscall: 'write' }))).toBe(true);
      expect(isLater(of({ code, syscall: 'write' }, 16_385))).toBe(false);
      expect(isLater(of({ code, syscall: 'read' }))).toBe(false);
    },
  );

  it('names the first of several addresses', () => {
    const cause = new AggregateError([{ code: 'EHOSTUNREACH' }, { code: 'ECONNREFUSED' }]);
    expect(of(new NotConnectedError(cause)).message).toContain('(EHOSTUNREACH)');
    expect(of(new NotConnectedError({})).message).toContain('(unknown reason)');
  });
});

describe('what comes before an answer', () => {
  it.each<[string, string]>([
    ['a 100 that the request did not ask for', 'HTTP/1.1 100 Continue\r\n\r\n'],
    ['hints', 'HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n'],
    ['several of them', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100\r\n\r\n'],
  ])('does not end the turn, and keeps the connection: %s', async (_title, before) => {
    const { call, sockets } = await agent((response) => {
      response.socket?.write(before);
      response.writeHead(200, JSON_TYPE).end('{"replies":["a"]}');
    });
    for (let i = 0; i < 5; i++) expect(await call()).toEqual({ replies: ['a'] });
    expect(sockets.size).toBeLessThanOrEqual(2);
  });

  it('is read in any chunks', async () => {
    const { call } = await agent((response) => {
      const bytes = [...Buffer.from(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n`)];
      const next = (): void => {
        const byte = bytes.shift();
        if (byte !== undefined)
          response.socket?.write(Uint8Array.of(byte), () => setImmediate(() => setImmediate(next)));
      };
      next();
    });
    expect(await call()).toBeUndefined();
  });

  it('of headers takes 20 kB', async () => {
    const { call } = await agent((response) =>
      response.writeHead(200, { ...JSON_TYPE, 'x-policy': 'x'.repeat(20_000) }).end('{"replies":["a"]}'),
    );
    expect(await call()).toEqual({ replies: ['a'] });
  });

  it('L6 with headers beyond the limit names the limit, and is dead', async () => {
    const { call } = await agent((response) =>
      response.writeHead(200, { ...JSON_TYPE, 'x-policy': 'x'.repeat(70_000) }).end('{"replies":["a"]}'),
    );
    await expect(call()).rejects.toThrow(
      expect.objectContaining({
        code: 'bad_answer',
        message: expect.stringMatching(/headers of more than 65536 bytes/),
      }),
    );
  });
});
