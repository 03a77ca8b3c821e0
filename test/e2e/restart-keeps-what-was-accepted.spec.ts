import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { packageRoot } from '#config';
import { findNatsServer } from '#jetstream';
import { expectNothingLeft, startService, tempDir, until } from '#testing';
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

it('connections that sent nothing, or half a request, do not hold up a stop', async () => {
  await using up = await startUp();
  const { port } = new URL(up.api.url);
  const sockets = [
    '',
    'POST /v1/agents/main/sessions/s/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 99\r\n\r\n{',
  ].map((start) => {
    const socket = connect(Number(port), '127.0.0.1');
    socket.on('error', () => {});
    socket.write(start);
    return socket;
  });
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  await up.api.session('s');
  up.service.signal('SIGINT');
  expect(await up.service.exited).toEqual({ code: 0, signal: null });
});

it('a broker that cannot be brought back ends `up` with its reason, rather than leaving a corpse', async () => {
  await using dir = await tempDir('binary');
  const binary = join(dir.path, 'nats-server');
  const found = await findNatsServer({ env: process.env, packageRoot: packageRoot(), log: () => {} });
  await copyFile(found, binary);
  await using up = await startUp({ NATS_SERVER_BIN: binary, LANEKEEPER_DRAIN_MS: '500' });
  const pid = Number(await readFile(join(up.dir.path, 'nats', 'nats-server.pid'), 'utf8'));
  await rm(binary);
  process.kill(pid, 'SIGKILL');
  expect(await up.service.exited).toEqual({ code: 1, signal: null });
  expect(up.service.output()).toMatch(/lanekeeper up: /);
});
