import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { problemBody, type Problem } from './problem.exception.js';

/**
 * Answers with problem+json when Node's HTTP parser refuses the bytes before there is a request; Node's own answer has no body.
 * After bytes that cannot be parsed the rest of the connection cannot be trusted, so it is closed.
 */
export function answerParserError(error: NodeJS.ErrnoException, socket: Socket): void {
  const { _httpMessage: current } = socket as { readonly _httpMessage?: { readonly headersSent?: boolean } | null };
  // The caller is gone, or another answer has begun: a second one inside it would be read as nonsense.
  if (error.code === 'ECONNRESET' || !socket.writable || current?.headersSent === true) {
    socket.destroy();
    return;
  }
  const problem = problemOf(error);
  const body = JSON.stringify(problemBody(problem));
  socket.write(
    [
      `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
      'content-type: application/problem+json',
      `content-length: ${Buffer.byteLength(body)}`,
      'connection: close',
      '',
      body,
    ].join('\r\n'),
  );
  socket.destroySoon();
}

function problemOf({ code, message }: NodeJS.ErrnoException): Problem {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    const detail = 'The request did not arrive as a whole in time; send it again at once, on a new connection.';
    return { status: 408, code: 'request-timeout', title: 'The request came too slowly', detail };
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    const detail = 'headers: found more than 16 KiB with the request line, wanted less; send large content in the body';
    return { status: 431, code: 'headers-too-large', title: 'The headers are too large', detail };
  }
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') {
    const detail = 'body: found chunk extensions of more than 16 KiB, wanted none';
    return { status: 413, code: 'too-large', title: 'The request is too large', detail };
  }
  const detail = `request: found no HTTP/1.1 (${reasonOf(message)}), wanted a request line, headers and a body as RFC 9112 has them`;
  return { status: 400, code: 'invalid-request', title: 'The request is no HTTP', detail };
}

/** The parser's own words; they hold nothing of what was sent. */
function reasonOf(message: string): string {
  return message.replace(/^Parse Error: /, '').slice(0, 100);
}
