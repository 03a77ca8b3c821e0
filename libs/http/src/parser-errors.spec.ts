import { once } from 'node:events';
import { createServer, type Server, type ServerOptions } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, it } from 'vitest';
import { answerParserError } from './parser-errors.js';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
});

/** What Node's own parser answers to these bytes; the connection has to end with it. */
async function answerTo(bytes: string | Buffer, options: ServerOptions = {}): Promise<string> {
  const server = createServer(options, (request, response) => {
    request.resume();
    if (request.url === '/begun') response.write('half of it');
    else request.on('end', () => response.end('ok'));
  });
  server.on('clientError', answerParserError);
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(bytes);
  return text(socket);
}

const HEAD = 'POST / HTTP/1.1\r\nhost: localhost\r\n';

it.each<[string, string | Buffer, number, string]>([
  ['no request', 'hello\r\n\r\n', 400, 'invalid-request'],
  ['TLS', Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]), 400, 'invalid-request'],
  ['two lengths', `${HEAD}content-length: 1\r\ncontent-length: 2\r\n\r\nxx`, 400, 'invalid-request'],
  ['a header name with a space', `${HEAD}a b: c\r\n\r\n`, 400, 'invalid-request'],
  ['a chunk that is none', `${HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n`, 400, 'invalid-request'],
  ['headers of 20 KiB', `${HEAD}x: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers-too-large'],
])('%s is answered as problem+json', async (_title, bytes, status, code) => {
  const [head = '', body = ''] = (await answerTo(bytes)).split('\r\n\r\n');
  expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} \\w`));
  expect(head).toContain('content-type: application/problem+json');
  expect(head).toContain(`content-length: ${Buffer.byteLength(body)}`);
  expect(JSON.parse(body)).toMatchObject({ status, code, type: `urn:lanekeeper:problem:${code}` });
});

it.each(['POST / HTTP/1.1\r\nhos', `${HEAD}content-length: 5\r\n\r\nab`])(
  'a request that does not arrive in time is a 408: %j',
  async (bytes) => {
    const timeouts = { requestTimeout: 50, headersTimeout: 50, connectionsCheckingInterval: 10 };
    const answer = await answerTo(bytes, timeouts);
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ status: 408, code: 'request-timeout' });
  },
);

it('an answer that has begun is not mixed with another one', async () => {
  const answer = await answerTo(`GET /begun HTTP/1.1\r\nhost: localhost\r\n\r\nrubbish\r\n\r\n`);
  expect(answer).not.toContain('problem');
});
