import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { problemBody, type Problem } from './problem.exception.js';

/**
 * Answers what Node's HTTP parser refuses before there is a request, as problem+json like all else; its own answer has no body.
 * What it cannot read may be followed by anything, so the connection ends with it.
 */
export function answerParserError(error: NodeJS.ErrnoException, socket: Socket): void {
  const { _httpMessage: current } = socket as { readonly _httpMessage?: { readonly headersSent?: boolean } | null };
  // A caller that is gone, or is in the middle of another answer, would read nonsense.
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

/** The parser's own words, which hold nothing of what was sent. */
function reasonOf(message: string): string {
  return message.replace(/^Parse Error: /, '').slice(0, 100);
}
