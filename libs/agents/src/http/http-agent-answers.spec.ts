import { afterEach, describe, expect, it } from 'vitest';
import { TerminalError } from '#contracts';
import { applyAnswer } from '../handler-answer.js';
import {
  agent,
  agentOf,
  closeAgents,
  JSON_TYPE,
  makeTurn,
  pour,
  STREAM_TYPE,
  TEXT_TYPE,
} from './http-agent.fixture.js';

const MIB = 1024 * 1024;

afterEach(closeAgents);

/** The turn's results after the answer was applied, as the worker does it. */
async function finished(call: Promise<unknown>): Promise<unknown> {
  const turn = makeTurn();
  applyAnswer(turn, await call);
  // As values: carried JSON is text in an answer.
  return JSON.parse(JSON.stringify(turn.finish()));
}

const text = (value: string) => ({ kind: 'reply', text: value });

describe('an answer', () => {
  it.each<[string, number, Record<string, string>, string, object]>([
    [
      'JSON',
      200,
      JSON_TYPE,
      '{"replies":["a",{"text":"b"},{"data":[1]}],"state":{"n":1}}',
      { replies: [text('a'), text('b'), { kind: 'reply', data: [1] }], state: { value: { n: 1 } } },
    ],
    [
      'JSON with a charset and a BOM',
      200,
      { 'content-type': 'Application/JSON; charset=utf-8' },
      '\uFEFF{"replies":["grüße 🙂"]}',
      { replies: [text('grüße 🙂')] },
    ],
    ['an empty object', 200, JSON_TYPE, '{}', { replies: [] }],
    ['JSON with status 201', 201, JSON_TYPE, '{"replies":["a"]}', { replies: [text('a')] }],
    ['text', 200, { 'content-type': 'text/plain; charset=utf-8' }, 'grüße\n', { replies: [text('grüße\n')] }],
    ['204', 204, {}, '', { replies: [] }],
    ['an empty 200', 200, {}, '', { replies: [] }],
    ['an empty 200 of JSON', 200, JSON_TYPE, '', { replies: [] }],
    [
      'an event stream',
      200,
      STREAM_TYPE,
      'event: delta\ndata: {"text":"hi"}\n\nevent: done\ndata: {"state":1}\n\n',
      { replies: [text('hi')], state: { value: 1 } },
    ],
    [
      'an event stream with BOM and CRLF',
      200,
      { 'content-type': 'text/event-stream;charset=utf-8' },
      '\uFEFFevent: reply\r\ndata: {"text":"hi"}\r\n\r\nevent: done\r\ndata:\r\n\r\n',
      { replies: [text('hi')] },
    ],
  ])('is read: %s', async (_title, status, headers, body, expected) => {
    const { call } = await agentOf(status, headers, body);
    expect(await finished(call())).toEqual(expected);
  });

  it.each([
    [JSON_TYPE, '{"replies":["grüße 🙂"]}'],
    [STREAM_TYPE, 'event: delta\ndata: {"text":"grüße 🙂"}\n\nevent: done\ndata: {}\n\n'],
  ])('is read when it comes byte by byte: %j', async (type, body) => {
    const { call } = await agent((response) => {
      response.writeHead(200, type);
      const bytes = [...Buffer.from(body)];
      const next = (): void => {
        const byte = bytes.shift();
        if (byte === undefined) response.end();
        // The reader runs between two bytes, or it would get them joined.
        else response.write(Uint8Array.of(byte), () => setImmediate(() => setImmediate(next)));
      };
      next();
    });
    expect(await finished(call())).toEqual({ replies: [text('grüße 🙂')] });
  });

  it('of one mebibyte is read', async () => {
    const reply = 'x'.repeat(MIB - '{"replies":[""]}'.length);
    const { call } = await agentOf(200, JSON_TYPE, JSON.stringify({ replies: [reply] }));
    expect(await call()).toEqual({ replies: [reply] });
  });

  it('is complete with `done`, though the agent keeps the stream open: the connection is closed', async () => {
    const closed = Promise.withResolvers<void>();
    const { call } = await agent((response) => {
      response.on('close', closed.resolve);
      response.writeHead(200, STREAM_TYPE).write('event: done\ndata: {"replies":["a"]}\n\n');
    });
    expect(await call()).toEqual({ replies: ['a'] });
    await closed.promise;
  });

  it.each<[string, Record<string, string>, string | Buffer, RegExp]>([
    ['JSON that is none', JSON_TYPE, '{"replies":["SECRET"', /found application\/json that is no JSON; wanted/],
    ['JSON that is a text', JSON_TYPE, '"SECRET"', /found application\/json that is no object; wanted/],
    ['JSON that is a list', JSON_TYPE, '["SECRET"]', /found application\/json that is no object; wanted/],
    ['JSON that is null', JSON_TYPE, 'null', /found application\/json that is no object; wanted/],
    ['replies of a wrong type', JSON_TYPE, '{"replies":"SECRET"}', /found replies: .*; wanted/],
    ['a reply of a wrong type', JSON_TYPE, '{"replies":[{"text":5}]}', /found replies\.0.*; wanted/],
    ['a reply that is a number', JSON_TYPE, '{"replies":[7]}', /found replies\.0.*; wanted/],
    ['a reply without text and data', JSON_TYPE, '{"replies":[{}]}', /found replies\.0.*; wanted/],
    ['an unknown field of a reply', JSON_TYPE, '{"replies":[{"txt":"SECRET"}]}', /found replies\.0.*; wanted/],
    ['sends of a later version', JSON_TYPE, '{"sends":[{"session":"SECRET"}]}', /found .*sends.*; wanted/],
    ['an unknown field', JSON_TYPE, '{"reply":"SECRET"}', /found .*; wanted/],
    ['another type', { 'content-type': 'text/html' }, '<p>SECRET</p>', /found content type "text\/html"; wanted/],
    ['no type', {}, 'SECRET', /found content type none; wanted/],
    [
      'invalid UTF-8 in JSON',
      JSON_TYPE,
      Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]),
      /found a body that is no UTF-8; wanted/,
    ],
    [
      'a character that breaks off',
      TEXT_TYPE,
      Buffer.from([0x61, 0xe2, 0x82]),
      /found a body that is no UTF-8; wanted/,
    ],
    [
      'invalid UTF-8 in a stream',
      STREAM_TYPE,
      Buffer.from([0x3a, 0xc3, 0x28, 0x0a]),
      /found a body that is no UTF-8; wanted/,
    ],
    [
      'a stream of a wrong type',
      STREAM_TYPE,
      'event: delta\ndata: {"text":7}\n\n',
      /found an event `delta` .*; wanted/,
    ],
    ['an end of a wrong type', STREAM_TYPE, 'event: done\ndata: []\n\n', /found an event `done` .*; wanted/],
    ['a stream with broken data', STREAM_TYPE, 'event: reply\ndata: SECRET\n\n', /found an event `reply` .*; wanted/],
  ])('L6 is refused, naming what was found and wanted: %s', async (_title, headers, body, message) => {
    const { call } = await agentOf(200, headers, body);
    const error = await finished(call()).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'bad_answer', message: expect.stringMatching(message) });
    // Its effects have happened, and a retry would have the same result.
    expect(error).toBeInstanceOf(TerminalError);
    expect((error as Error).message).not.toContain('SECRET');
  });

  it.each([JSON_TYPE, TEXT_TYPE, STREAM_TYPE])(
    'L6 without end is refused at the bound, and not read on: %j',
    async (type) => {
      const closed = Promise.withResolvers<void>();
      let count = { written: 0 };
      const { call } = await agent((response) => {
        response.on('close', closed.resolve);
        response.writeHead(200, type);
        count = pour(response, Buffer.from(`: ${'x'.repeat(16_382)}\n`));
      });
      await expect(call()).rejects.toThrow(
        expect.objectContaining({
          code: 'bad_answer',
          message: expect.stringMatching(/more than 1048576 bytes .*refer/),
        }),
      );
      await closed.promise;
      expect(count.written).toBeGreaterThan(MIB);
    },
  );

  it('L6 of 2 MiB is refused too, without reading the rest', async () => {
    const closed = Promise.withResolvers<boolean>();
    const { call } = await agent((response) => {
      response.on('close', () => closed.resolve(response.writableFinished));
      response.writeHead(200, { ...JSON_TYPE, 'content-length': String(2 * MIB) });
      // Its second half never arrives, so waiting for it would never end.
      response.write(Buffer.alloc(MIB + 1, 'x'));
    });
    await expect(call()).rejects.toThrow(expect.objectContaining({ code: 'bad_answer' }));
    expect(await closed.promise).toBe(false);
  });
});
