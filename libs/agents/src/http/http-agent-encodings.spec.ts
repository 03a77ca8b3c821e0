import * as zlib from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { agent, agentOf, closeAgents, JSON_TYPE, makeTurn, STREAM_TYPE, TEXT_TYPE } from './http-agent.fixture.js';

afterEach(closeAgents);

const ANSWER = '{"replies":["grüße 🙂"]}';
const MIB = 1024 * 1024;
const bad = (message: RegExp) =>
  expect.objectContaining({ code: 'bad_answer', message: expect.stringMatching(message) });

/** Encodings that servers and proxies send, although they are asked for plain bytes. */
const ENCODINGS: [string, (text: string | Buffer) => Buffer][] = [
  ['gzip', zlib.gzipSync],
  ['x-gzip', zlib.gzipSync],
  ['GZIP', zlib.gzipSync],
  ['deflate', zlib.deflateSync],
  ['deflate', zlib.deflateRawSync],
  ['br', (text) => zlib.brotliCompressSync(text, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } })],
  ['identity', (text) => Buffer.from(text)],
  ['', (text) => Buffer.from(text)],
  ['deflate, gzip', (text) => zlib.gzipSync(zlib.deflateSync(text))],
  ...('zstdCompressSync' in zlib
    ? [['zstd', (text) => zlib.zstdCompressSync(text)] as (typeof ENCODINGS)[number]]
    : []),
];

describe('an answer that is compressed', () => {
  it.each(ENCODINGS)('with %s is read', async (encoding, compress) => {
    const { call, sockets } = await agentOf(200, { ...JSON_TYPE, 'content-encoding': encoding }, compress(ANSWER));
    for (let i = 0; i < 4; i++) expect(await call()).toEqual({ replies: ['grüße 🙂'] });
    expect(sockets.size).toBeLessThanOrEqual(4);
  });

  it.each(ENCODINGS)('as a stream with %s is read as it comes, up to `done`', async (encoding, compress) => {
    const { call } = await agent((response) => {
      response.writeHead(200, { ...STREAM_TYPE, 'content-encoding': encoding });
      response.write(compress('event: delta\ndata: {"text":"hi"}\n\nevent: done\ndata: {}\n\n'));
    });
    expect(await call()).toEqual({ replies: ['hi'] });
  });

  it('as a stream in chunks is read as it is flushed', async () => {
    const { call } = await agent((response) => {
      const gzip = zlib.createGzip();
      response.writeHead(200, { ...STREAM_TYPE, 'content-encoding': 'gzip' });
      gzip.pipe(response);
      gzip.write('event: delta\ndata: {"text":"a"}\n\n');
      // The rest is never written: only flushed bytes arrive.
      gzip.flush(() => {
        gzip.write('event: done\ndata: {}\n\n');
        gzip.flush();
      });
    });
    expect(await call()).toEqual({ replies: ['a'] });
  });

  it.each<[string, string, Uint8Array]>([
    ['no gzip at all', 'gzip', Buffer.from(ANSWER)],
    ['gzip that breaks off', 'gzip', zlib.gzipSync(ANSWER).subarray(0, 20)],
    [
      'gzip with a wrong checksum',
      'gzip',
      zlib.gzipSync(ANSWER).map((byte, i, all) => (i === all.length - 6 ? byte ^ 1 : byte)),
    ],
    ['no brotli', 'br', Buffer.from('SECRET SECRET SECRET')],
    ['no deflate', 'deflate', Buffer.from(ANSWER)],
  ])('L6 and broken is refused by name: %s', async (_title, encoding, body) => {
    const { call } = await agentOf(200, { ...JSON_TYPE, 'content-encoding': encoding }, Buffer.from(body));
    await expect(call()).rejects.toThrow(bad(new RegExp(`found a body that is no ${encoding}; wanted`)));
  });

  it.each(['compress', 'gzip, gzip, gzip', 'x'.repeat(500)])('L6 with %s is refused by name', async (encoding) => {
    const { call } = await agentOf(200, { ...JSON_TYPE, 'content-encoding': encoding }, ANSWER);
    await expect(call()).rejects.toThrow(bad(/found content encoding "/));
  });

  it.each(ENCODINGS.filter(([name]) => !/^(identity)?$/.test(name)))(
    'L6 with %s to a bomb is refused at the limit of what it unfolds to',
    async (encoding, compress) => {
      const { call } = await agentOf(
        200,
        { ...TEXT_TYPE, 'content-encoding': encoding },
        compress(Buffer.alloc(64 * MIB)),
      );
      const before = process.memoryUsage().rss;
      await expect(call()).rejects.toThrow(bad(/more than 1048576 bytes/));
      expect(process.memoryUsage().rss - before).toBeLessThan(48 * MIB);
    },
  );

  it('L6 that is larger than its decoded form ends at the limit too', async () => {
    const { call } = await agent((response) => {
      response.writeHead(200, { ...TEXT_TYPE, 'content-encoding': 'gzip' });
      const empty = Buffer.concat(Array.from({ length: 1_000 }, () => zlib.gzipSync('')));
      const pour = (): void => void (response.destroyed || response.write(empty, pour));
      pour();
    });
    await expect(call()).rejects.toThrow(bad(/more than 1048576 bytes/));
  });

  it('L6 is closed with its turn', async () => {
    const controller = new AbortController();
    const closed = Promise.withResolvers<void>();
    const { call } = await agent((response) => {
      response.on('close', closed.resolve);
      response
        .writeHead(200, { ...STREAM_TYPE, 'content-encoding': 'gzip' })
        .write(zlib.gzipSync(': a\n\n').subarray(0, 12));
      setImmediate(() => controller.abort());
    });
    await expect(call(makeTurn({ signal: controller.signal }))).rejects.toMatchObject({ code: expect.any(String) });
    await closed.promise;
  });
});
