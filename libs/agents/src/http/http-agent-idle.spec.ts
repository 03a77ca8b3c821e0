import { createGzip } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { agent, closeAgents, JSON_TYPE, STREAM_TYPE } from './http-agent.fixture.js';

afterEach(closeAgents);

const IDLE_MS = 150;
const idle = { streamIdleMs: IDLE_MS };
/** Five beats of an agent fit into it: a busy machine delays one of them, and hardly five. */
const LONG_IDLE_MS = 750;

describe('a stream that is silent', () => {
  it.each<[string, string]>([
    ['before its first event', ''],
    ['behind an event', 'event: delta\ndata: {"text":"a"}\n\n'],
  ])('L6 %s ends its attempt, and says so', async (_title, begin) => {
    const closed = Promise.withResolvers<void>();
    const { call } = await agent((response) => {
      response.on('close', closed.resolve);
      response.writeHead(200, STREAM_TYPE).flushHeaders();
      if (begin !== '') response.write(begin);
    });
    const since = performance.now();
    await expect(call(undefined, undefined, idle)).rejects.toThrow(
      expect.objectContaining({
        code: 'stream_idle',
        message: expect.stringMatching(/silent for 150 ms \(streamIdleMs\)/),
        finding: { status: 200, isUnclear: true },
      }),
    );
    expect(performance.now() - since).toBeGreaterThanOrEqual(IDLE_MS - 2);
    await closed.promise;
  });

  it.each([false, true])('stays alive through its comments (compressed: %s)', async (isCompressed) => {
    const { call } = await agent((response) => {
      response.writeHead(200, isCompressed ? { ...STREAM_TYPE, 'content-encoding': 'gzip' } : STREAM_TYPE);
      const gzip = createGzip();
      if (isCompressed) gzip.pipe(response);
      const out = isCompressed ? gzip : response;
      let beats = 0;
      const beat = setInterval(() => {
        out.write(++beats > 10 ? 'event: done\ndata: {"replies":["a"]}\n\n' : ': still there\n\n');
        if (isCompressed) gzip.flush();
        if (beats > 10) clearInterval(beat);
      }, LONG_IDLE_MS / 5);
    });
    const since = performance.now();
    expect(await call(undefined, undefined, { streamIdleMs: LONG_IDLE_MS })).toEqual({ replies: ['a'] });
    expect(performance.now() - since).toBeGreaterThan(2 * LONG_IDLE_MS);
  });

  it('may be silent before its headers, or with another content type, as long as its turn may last', async () => {
    const { call } = await agent((response, _request, body) => {
      const isLate = (JSON.parse(body) as { runId: string }).runId === 'r';
      const answer = (): void => void response.writeHead(200, JSON_TYPE).write('{"replies"');
      setTimeout(answer, isLate ? 2 * IDLE_MS : 0);
      setTimeout(() => response.end(':["a"]}'), 4 * IDLE_MS);
    });
    expect(await call(undefined, undefined, idle)).toEqual({ replies: ['a'] });
  });
});
