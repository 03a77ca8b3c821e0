import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, startBroker, startService, until } from '#testing';
import { startUp } from '../support/lanekeeper-up.js';

afterEach(expectNothingLeft);

it('with LANEKEEPER_NATS_URL `up` starts no broker of its own', async () => {
  await using broker = await startBroker();
  await using up = await startUp({ LANEKEEPER_NATS_URL: broker.url });
  expect((await up.api.send('s', { text: 'x' }, { wait: '20s' })).status).toBe(200);
  expect(existsSync(join(up.dir.path, 'nats'))).toBe(false);
});

it('a role in the folder of `up` finds its broker without a variable', async () => {
  await using up = await startUp();
  const { LANEKEEPER_DATA_DIR } = up.env;
  await using ingress = await startService({
    args: ['ingress'],
    cwd: up.dir.path,
    env: { LANEKEEPER_DATA_DIR, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'error' },
  });
  expect(ingress.url).not.toBe(up.service.url);
  await up.api.send('s', { id: 'm1', text: 'x' }, { wait: '20s' });
  const response = await fetch(`${ingress.url}/v1/agents/main/sessions/s/messages/m1`);
  expect(await response.json()).toMatchObject({ disposition: 'decided', decision: 'handled' });
});

it('kill -9 of the broker of `up`: it comes back on the same port, and nothing accepted is lost (L3)', async () => {
  await using up = await startUp();
  await up.api.send('s', { id: 'before', text: 'before', data: { sleepMs: 800 } });
  await until('its turn runs', async () => (await up.api.session('s')).state === 'running');
  process.kill(await brokerPid(up.dir.path), 'SIGKILL');
  await until('a message is accepted again', async () => {
    const answer = await up.api.send('s', { id: 'after', text: 'after' });
    return answer.status === 202;
  });
  const records = await up.api.decided('s', 2);
  expect(records.map(({ messages, attempt }) => [messages.map(({ id }) => id), attempt])).toEqual([
    [['before'], 1],
    [['after'], 1],
  ]);
});

/** A child of `up`'s own: the test reads whom to kill from the pid file of that folder. */
async function brokerPid(dataDir: string): Promise<number> {
  const pid = Number(await readFile(join(dataDir, 'nats', 'nats-server.pid'), 'utf8'));
  expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).toContain(dataDir);
  return pid;
}
