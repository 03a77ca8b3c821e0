import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectNothingLeft, startService, tempDir } from '#testing';
import { BAD_REQUESTS, type BadRequest } from '../support/bad-requests.js';
import { BAD_STARTS } from '../support/bad-starts.js';
import { startUp, type RunningUp } from '../support/lanekeeper-up.js';

let up: RunningUp;

beforeAll(async () => {
  up = await startUp();
});
afterAll(async () => {
  await up[Symbol.asyncDispose]();
  await expectNothingLeft();
});

interface RawAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** By node:http, since `fetch` mends or refuses some of what has to arrive as it is. */
function send({
  method = 'POST',
  path = '/v1/agents/main/sessions/s/messages',
  headers = {},
  body,
}: BadRequest): Promise<RawAnswer> {
  const { hostname, port } = new URL(up.api.url);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, method, path, headers, agent: false }, (response) => {
      const type = response.headers['content-type'] ?? '';
      text(response).then((answer) => resolve({ status: response.statusCode ?? 0, type, body: answer }), reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

describe('a bad request is a problem that names what is wrong', () => {
  it.each(BAD_REQUESTS.map((row) => [row.title, row] as const))('%s', async (_title, row) => {
    const answer = await send(row);
    expect([answer.status, answer.type]).toEqual([row.status, expect.stringContaining('application/problem+json')]);
    const problem = JSON.parse(answer.body) as { status: number; detail: string; title: string; type: string };
    expect(problem).toMatchObject({ status: row.status, type: expect.stringMatching(/^urn:lanekeeper:problem:/) });
    expect(problem.detail).toMatch(row.names);
    expect(answer.body).not.toMatch(/\n\s+at |node_modules/);
  });

  it('nothing of it was stored, and the process lives', async () => {
    const good = await up.api.send('s', { id: 'good', text: 'still here' }, { wait: '20s' });
    expect(good).toMatchObject({ status: 200, body: { seq: 1, replies: [{ text: 'still here' }] } });
    expect(await up.api.turns('s')).toHaveLength(1);
  });
});

describe('a bad start is refused in one message', () => {
  it.each(BAD_STARTS.map((row) => [row.title, row] as const))(
    '%s',
    async (_title, { env = {}, file, args = ['up'], names }) => {
      await using dir = await tempDir('bad-start');
      if (file !== undefined) await writeFile(join(dir.path, file.name), file.content);
      const start = startService({ args, cwd: dir.path, env: { LANEKEEPER_HTTP_PORT: '0', ...env } });
      const message = await start.then(
        async (service) => {
          await service.stop();
          return 'it started';
        },
        (error: Error) => error.message,
      );
      expect(message).toMatch(/it ended \(exit code 1\)/);
      expect(message).toMatch(names);
      expect(message).not.toMatch(/\n\s+at /);
    },
  );
});
