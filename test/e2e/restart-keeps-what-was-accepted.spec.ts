import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, startService, until } from '#testing';
import { startUp } from '../support/lanekeeper-up.js';

afterEach(expectNothingLeft);

it.each(['SIGINT', 'SIGTERM'] as const)(
  '%s: what runs ends, everything stops, and nothing accepted is lost (L3)',
  async (signal) => {
    await using up = await startUp();
    await up.api.send('s', { id: 'm0', text: 'runs', data: { sleepMs: 700 } });
    await until('its turn runs', async () => (await up.api.session('s')).state === 'running');
    await up.api.send('s', { id: 'm1', text: 'waits' });
    const pid = up.service.pid;
    up.service.signal(signal);
    expect(await up.service.exited).toEqual({ code: 0, signal: null });
    expect(existsSync(join(up.dir.path, 'connection.json'))).toBe(false);
    await up.again();
    expect(up.service.pid).not.toBe(pid);
    const records = await up.api.decided('s', 2);
    // The drain let the running turn end: it was not run twice.
    expect(records.map(({ messages, attempt }) => [messages.map(({ id }) => id), attempt])).toEqual([
      [['m0'], 1],
      [['m1'], 1],
    ]);
    const again = await up.api.send('s', { id: 'm1', text: 'waits' });
    expect(again.body.duplicate).toBe(true);
  },
);

it('a turn longer than the drain budget is aborted, recorded nowhere, and run again as the next attempt', async () => {
  await using up = await startUp({ LANEKEEPER_DRAIN_MS: '200' });
  await up.api.send('s', { id: 'm0', text: 'long', data: { sleepMs: 3_000 } });
  const { running } = await until('its turn runs', async () => {
    const session = await up.api.session('s');
    return session.state === 'running' ? session : undefined;
  });
  await until('it has said so', async () => (await up.api.session('s')).running !== undefined);
  up.service.signal('SIGTERM');
  expect((await up.service.exited).code).toBe(0);
  await up.again();
  const records = await up.api.decided('s', 1);
  expect(records.filter(({ kind }) => kind === 'turn')).toMatchObject([
    { runId: running.runId, attempt: 2, status: 'succeeded', messages: [{ id: 'm0', decision: 'handled' }] },
  ]);
});

it('a second `up` on the same data folder is refused with the way out', async () => {
  await using up = await startUp();
  const second = startService({ args: ['up'], env: up.env, cwd: up.dir.path });
  await expect(second).rejects.toThrow(/is in use: found lanekeeper with pid \d+ on http:.*LANEKEEPER_DATA_DIR/);
  expect((await up.api.send('s', { text: 'still here' }, { wait: '20s' })).status).toBe(200);
});
