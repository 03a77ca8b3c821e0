import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';

/**
 * What an agent over HTTP may do wrong on its connection, as data. To add a case, add a row. What a whole answer may hold is in
 * the unit tables (http-agent-answers.spec.ts, answer-stream.spec.ts).
 */
export interface BadAnswer {
  readonly title: string;
  readonly answer: (response: ServerResponse) => void | Promise<void>;
  /** How the turn ends. */
  readonly status?: 'failed' | 'timed_out';
  /** What it did is not known, so it is an attempt; a whole answer that is wrong is dead at once. */
  readonly isTriedAgain?: true;
  /** Must stand in the turn's error. */
  readonly says: RegExp;
}

const body =
  (type: string | undefined, content: string | Uint8Array, status = 200) =>
  (response: ServerResponse): void => {
    response.writeHead(status, type === undefined ? {} : { 'content-type': type });
    response.end(content);
  };
const json = (content: string | Uint8Array) => body('application/json', content);
const events = (content: string) => body('text/event-stream', content);

/** Writes until the caller hangs up. */
const endless =
  (type: string, first: string, piece: string) =>
  async (response: ServerResponse): Promise<void> => {
    response.writeHead(200, { 'content-type': type });
    response.write(first);
    while (!response.destroyed) {
      if (!response.write(piece)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    }
  };

export const BAD_ANSWERS: readonly BadAnswer[] = [
  { title: 'broken JSON', answer: json('{"replies": ['), says: /no JSON/ },
  { title: 'bytes that are no text', answer: json(new Uint8Array([0x7b, 0xff, 0x7d])), says: /UTF-8/ },
  { title: 'a state over 256 KiB', answer: json(JSON.stringify({ state: 'x'.repeat(262_145) })), says: /state/ },
  {
    title: 'replies over what a record holds',
    answer: json(JSON.stringify({ replies: ['x'.repeat(900_000)] })),
    says: /record/,
  },
  { title: 'no content type', answer: body(undefined, 'hello'), says: /content type/ },
  {
    title: 'a redirect',
    answer: (r) => void r.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(),
    says: /307.*url/,
  },
  {
    title: 'an event stream without its end',
    answer: events('event: delta\ndata: {"text":"x"}\n\n'),
    isTriedAgain: true,
    says: /done/,
  },
  { title: 'an event stream with broken data', answer: events('event: reply\ndata: {"text"\n\n'), says: /reply/ },
  {
    title: 'an endless stream',
    answer: endless('text/event-stream', '', ': ping\n\n'.repeat(1_000)),
    says: /1048576 bytes/,
  },
  {
    title: 'a connection that breaks off',
    answer: (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
      response.write('{"replies"', () => response.destroy());
    },
    isTriedAgain: true,
    says: /broke off/,
  },
  {
    title: 'no answer at all',
    answer: (response) => void response.destroy(),
    isTriedAgain: true,
    says: /did not answer/,
  },
  { title: 'what is no HTTP', answer: (r) => void r.socket?.end('-ERR\r\n'), isTriedAgain: true, says: /no HTTP/ },
  { title: 'silence', answer: () => {}, status: 'timed_out', isTriedAgain: true, says: /turnTimeoutMs/ },
  {
    title: 'a stream that falls silent',
    answer: (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('event: delta\ndata: {"text":"x"}\n\n');
    },
    isTriedAgain: true,
    says: /silent for 300 ms \(streamIdleMs\)/,
  },
  {
    title: 'gzip that is none',
    answer: (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
      response.end('{"replies": ["hello"]}');
    },
    says: /no gzip/,
  },
  {
    title: 'a bomb',
    answer: (response) => {
      response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': 'gzip' });
      response.end(gzipSync(Buffer.alloc(2 ** 26)));
    },
    says: /1048576 bytes/,
  },
  {
    title: 'headers of 70 kB',
    answer: (response) => {
      response.writeHead(200, { 'content-type': 'text/plain', 'x-policy': 'x'.repeat(70_000) });
      response.end('hello');
    },
    says: /headers of more than 65536 bytes/,
  },
  {
    title: 'a slow drip',
    answer: async (response) => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      const drip = setInterval(() => response.write('x'), 20);
      await once(response, 'close');
      clearInterval(drip);
    },
    status: 'timed_out',
    isTriedAgain: true,
    says: /turnTimeoutMs/,
  },
];
