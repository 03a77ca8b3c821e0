import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft } from '#testing';
import { startUp } from '../support/lanekeeper-up.js';
import { answerJson, startAgent } from '../support/recording-agent.js';
import { startUpWith } from '../support/up-with-settings.js';

/** Names of platforms mean one thing: places that read alike stay two, and a command for another bot starts nothing here. */

afterEach(expectNothingLeft);

const WAIT = { wait: '20s' };

it('a thread with a colon in its short name has a session of its own', async () => {
  await using up = await startUp();
  const sessionOf = async (channel: string, thread: string): Promise<unknown> =>
    (await up.api.sendByPlace({ channel, thread, text: 'x' }, WAIT)).body.session;
  expect(await sessionOf('discord:G:C', 'T')).toBe('discord:G:C:T');
  expect(await sessionOf('discord:G', 'C:T')).toBe('discord:G:C%3AT');
  expect(await sessionOf('slack:C1', '9')).toBe('slack:C1:9');
  expect((await up.api.turns('discord:G:C%3AT')).flatMap(({ messages }) => messages)).toHaveLength(1);
});

it('a command starts a task when it is for our bot, by its name or behind a mention, and not when it is for another', async () => {
  await using agent = await startAgent((call, response) =>
    answerJson(response, { replies: [call.task?.key ?? 'none'] }),
  );
  const taskFrom = { commands: ['/deploy'], names: ['my_bot'], namespace: 'ops' };
  await using up = await startUpWith({ agents: { main: { url: agent.url, taskFrom } } });
  const said = async (content: string): Promise<unknown> =>
    (await up.api.send(`s-${content}`, { text: content }, WAIT)).body.replies;
  expect(await said('@my_bot /deploy')).toEqual([{ text: 'ops::deploy' }]);
  expect(await said('/deploy@my_bot now')).toEqual([{ text: 'ops::deploy' }]);
  expect(await said('/deploy@other_bot')).toEqual([{ text: 'none' }]);
  expect(await said('@other_bot /deploy')).toEqual([{ text: 'none' }]);
});

it('what is no HTTP is answered as problem+json', async () => {
  await using up = await startUp();
  const socket = connect(Number(new URL(up.api.url).port), '127.0.0.1');
  socket.write('hello there\r\n\r\n');
  const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1\.1 400 [^]*application\/problem\+json/);
  expect(JSON.parse(body)).toMatchObject({ status: 400, code: 'invalid-request' });
});
