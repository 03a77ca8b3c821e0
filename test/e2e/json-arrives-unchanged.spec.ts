import { isUtf8 } from 'node:buffer';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectNothingLeft, tempDir, type TempDir } from '#testing';
import { startUp, type RunningUp } from '../support/lanekeeper-up.js';
import { answerStatus, startAgent, type RecordingAgent } from '../support/recording-agent.js';
import { anyJsonText, withoutSpaces } from '../../libs/contracts/src/json/json.fixture.js';

/** An agent of another language, as far as JSON goes: it takes texts apart and never parses a number. */
let agent: RecordingAgent;
let dir: TempDir;
let up: RunningUp;
/** What the agent puts around what it says again. */
let gap = '';
let count = 0;

/** The data of a request, as text: behind its key, up to what stands behind the message. */
function dataIn(raw: string): string {
  const from = raw.indexOf('"data":') + '"data":'.length;
  return raw.slice(from, raw.indexOf('},"messages":[', from));
}

beforeAll(async () => {
  agent = await startAgent((call, response) => {
    if (!call.raw.includes('"data":')) return answerStatus(response, 204);
    const data = dataIn(call.raw);
    const reply = `{"text":"again","data":${gap}${data}${gap}}`;
    if (call.session.startsWith('events')) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(
        `event: reply\ndata: ${reply.replaceAll(/[\r\n]+/g, ' ')}\n\nevent: done\ndata: {"state":${data}}\n\n`,
      );
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(`{"replies":[${reply}],${gap}"state":${data}}`);
  });
  dir = await tempDir('settings');
  const path = join(dir.path, 'lanekeeper.json');
  await writeFile(
    path,
    JSON.stringify({ agents: { main: { url: agent.url, maxAttempts: 1 }, echo: { handler: 'echo', maxAttempts: 1 } } }),
  );
  up = await startUp({ LANEKEEPER_CONFIG: path });
});
afterAll(async () => {
  await up[Symbol.asyncDispose]();
  await agent[Symbol.asyncDispose]();
  await dir.remove();
  await expectNothingLeft();
});

interface RawAnswer {
  readonly status: number;
  readonly body: string;
}

/** By node:http: the bytes go as they are, at once or in chunks. */
function send(target: string, body: string | Uint8Array, isChunked = false, method = 'POST'): Promise<RawAnswer> {
  const { hostname, port } = new URL(up.api.url);
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const sent = request({ hostname, port, method, path: target, headers, agent: false }, (response) => {
      text(response).then((answer) => resolve({ status: response.statusCode ?? 0, body: answer }), reject);
    });
    sent.on('error', reject);
    const bytes = Buffer.from(body as Uint8Array);
    if (!isChunked) return void sent.end(bytes);
    for (let at = 0; at < bytes.length; at += 7) sent.write(bytes.subarray(at, at + 7));
    sent.end();
  });
}

const session = (name: string, more = ''): string => `/v1/agents/main/sessions/${name}${more}`;
const get = async (target: string): Promise<string> => (await send(target, '', false, 'GET')).body;
const timesIn = (body: string, part: string): number => body.split(part).length - 1;

describe('any JSON document', () => {
  it('reaches an agent over HTTP, and comes back, equal as text but for spaces', { timeout: 120_000 }, async () => {
    const forms = fc.constantFrom('json', 'events');
    await fc.assert(
      fc.asyncProperty(
        anyJsonText(),
        forms,
        fc.boolean(),
        fc.constantFrom('', ' ', '\n\t'),
        async (data, form, isChunked, space) => {
          gap = space;
          const name = `${form}${++count}`;
          const canonical = withoutSpaces(data);
          const answer = await send(session(name, '/messages?wait=30s'), `{"id":"a", "data":${data} }`, isChunked);
          expect(answer).toEqual({
            status: 200,
            body: expect.stringContaining(`"replies":[{"text":"again","data":${canonical}}]`),
          });
          const call = agent.calls.findLast((made) => made.session === name);
          expect(timesIn(call?.raw ?? '', `"data":${canonical}}`)).toBeGreaterThanOrEqual(2);
          // What it keeps comes back with its next turn, and stands in the session's turns.
          await send(session(name, '/messages?wait=30s'), '{"id":"b","data":0}');
          expect(agent.calls.findLast((made) => made.session === name)?.raw).toContain(
            `"state":${canonical},"deadline"`,
          );
          const turns = await get(session(name, '/turns'));
          expect(turns).toContain(`"sends":[{"kind":"reply","text":"again","data":${canonical}}]`);
          expect(turns).toContain(`"state":${canonical}`);
          // The same id with the same document is the same message, whatever its spaces.
          expect(await send(session(name, '/messages'), `{"id":"a","data":${canonical}}`)).toMatchObject({
            ...{ status: 202, body: expect.stringContaining('"duplicate":true') },
          });
        },
      ),
      { numRuns: 40 },
    );
  });

  it('one id with a number that differs in its last digit is another message', async () => {
    expect((await send(session('digit', '/messages'), '{"id":"a","data":12345678901234567890}')).status).toBe(202);
    expect((await send(session('digit', '/messages'), '{"id":"a","data":12345678901234567891}')).status).toBe(422);
    expect((await send(session('digit', '/messages'), '{"data":12345678901234567890,"id":"a"}')).status).toBe(202);
  });
});

it('the meta and the result of a task come back equal as text but for spaces', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(anyJsonText(), anyJsonText(), async (meta, result) => {
      const task = `/v1/tasks/k${++count}`;
      const asked = (id: string): string => `{"requestId":"${id}","runId":"r","meta": ${meta} }`;
      const { body } = await send(`${task}/acquire`, asked('a'));
      const { token } = JSON.parse(body) as { token: number };
      expect(await get(task)).toContain(`"meta":${withoutSpaces(meta)}`);
      await send(`${task}/release`, `{"token":${token},"status":"succeeded","result":${result}}`);
      expect((await send(`${task}/acquire`, asked('b'))).body).toContain(`"result":${withoutSpaces(result)}`);
      expect(await get(task)).toContain(`"result":${withoutSpaces(result)}`);
    }),
    { numRuns: 30 },
  );
});

describe('any bytes as a body', () => {
  it('are refused or arrive unchanged', { timeout: 120_000 }, async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      fc.string({ unit: 'grapheme', maxLength: 8 }).map((value) => Buffer.from(value)),
      fc
        .constantFrom([0xfc], [0xc3, 0xbc], [0xed, 0xa0, 0x80], [0xef, 0xbb, 0xbf], [0xc0, 0x80], [0x5c, 0x75, 0x64])
        .map((value) => Uint8Array.from(value)),
    );
    const frame = fc.constantFrom(['{"text":"', '"}'], ['{"id":"', '","text":"x"}'], ['', '{"text":"x"}'], ['', '']);
    await fc.assert(
      fc.asyncProperty(bytes, bytes, frame, fc.boolean(), async (first, second, [before, after], isChunked) => {
        const name = `bytes${++count}`;
        const body = Buffer.concat([Buffer.from(before as string), first, second, Buffer.from(after as string)]);
        const answer = await send(session(name, '/messages?wait=30s'), body, isChunked);
        if (answer.status !== 200) {
          expect([400, 422]).toContain(answer.status);
          return;
        }
        expect(isUtf8(body)).toBe(true);
        const given = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as {
          id?: string;
          text: string;
        };
        const message = agent.calls.findLast((made) => made.session === name)?.message;
        expect(message).toMatchObject(given);
      }),
      { numRuns: 60 },
    );
  });

  it('two ids that differ in one such byte do not meet: neither is taken', async () => {
    for (const byte of [0xfc, 0xe4]) {
      const body = Buffer.concat([Buffer.from('{"text":"x","id":"m'), Buffer.from([byte]), Buffer.from('"}')]);
      expect(await send(session('umlaut', '/messages'), body)).toMatchObject({
        ...{ status: 400, body: expect.stringContaining('no UTF-8') },
      });
    }
  });
});

it('a handler in TypeScript gets numbers with all of their digits, and says them again', async () => {
  const target = '/v1/agents/echo/sessions/s/messages?wait=30s';
  const data = '{"id":12345678901234567890,"price":0.12345678901234567890,"n":1.0}';
  expect(await send(target, `{"data":${data}}`)).toMatchObject({
    ...{ status: 200, body: expect.stringContaining(`"replies":[{"data":${data}}]`) },
  });
});

it('a dead message is shown, and sent again, as it came', async () => {
  const data = '{"10":1.0,"2":98765432109876543210,"\\u0061":1e5}';
  const target = '/v1/agents/echo/sessions/dead/messages?wait=30s';
  const died = await send(target, `{"id":"d","data":{"fail":"on purpose","keep":${data}}}`);
  expect(died.body).toContain('"decision":"dead"');
  const { dead } = JSON.parse(await get('/v1/dead?agent=echo')) as { dead: { deadId: string }[] };
  const shown = await get(`/v1/dead/${dead[0]?.deadId}`);
  expect(shown).toContain(`"data":{"fail":"on purpose","keep":${data}}`);
  expect((await send(`/v1/dead/${dead[0]?.deadId}/retry`, '{}')).status).toBe(202);
});
