import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { expectNothingLeft } from './leak-check.js';
import { startRedis, type RedisKeeps } from './redis-server.js';

afterEach(expectNothingLeft);

test.each([
  ['nothing', { appendonly: 'no' }],
  ['everysec', { appendonly: 'yes', appendfsync: 'everysec' }],
  ['always', { appendonly: 'yes', appendfsync: 'always' }],
] as const)('a Redis that is asked to keep %s has these settings', async (keeps, expected) => {
  expect(await settingsWith(keeps)).toMatchObject(expected);
});

async function settingsWith(keeps: RedisKeeps): Promise<Record<string, string>> {
  await using redis = await startRedis({ keeps });
  const names = ['appendonly', 'appendfsync'];
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await settingOf(redis.url, name)])));
}

/** The last line of the answer is the value. */
async function settingOf(url: string, name: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  try {
    socket.write(`CONFIG GET ${name}\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    return answer.toString().trim().split('\r\n').at(-1) ?? '';
  } finally {
    socket.destroy();
  }
}
