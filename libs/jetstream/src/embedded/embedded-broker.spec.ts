import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { packageRoot } from '#config';
import { expectNothingLeft, isRunning, spawnSourceProgram, tempDir, until } from '#testing';
import { BrokerFolder } from './broker-folder.js';
import { EmbeddedBroker } from './embedded-broker.js';
import { findNatsServer } from './find-nats-server.js';

const configFile = join(packageRoot(), 'deploy/nats/embedded.conf');
const lines: string[] = [];
const log = (line: string) => void lines.push(line);
let binary: string;

beforeAll(async () => {
  binary = await findNatsServer({ env: process.env, packageRoot: packageRoot(), log });
});
afterEach(expectNothingLeft);

const start = (dataDir: string, port?: number) =>
  EmbeddedBroker.start({ binary, dataDir, configFile, log, ...(port === undefined ? {} : { port }) });

test('starts, stores, stops gracefully, and still has everything after the next start', async () => {
  await using dir = await tempDir('embedded');
  const first = await start(dir.path);
  const connection = await connect({ servers: first.url });
  await (await jetstreamManager(connection)).streams.add({ name: 'S', subjects: ['s'] });
  await jetstream(connection).publish('s', 'kept');
  await connection.close();
  expect((await readFile(join(dir.path, 'nats/nats-server.pid'), 'utf8')).trim()).toBe(String(first.pid));
  await first.stop();
  expect(isRunning(first.pid)).toBe(false);
  expect(await readFile(join(dir.path, 'nats/nats-server.log'), 'utf8')).toContain('Server Exiting');

  const second = await start(dir.path);
  const again = await connect({ servers: second.url });
  expect((await (await jetstreamManager(again)).streams.info('S')).state.messages).toBe(1);
  await again.close();
  await second.stop();
});

test('is in its own process group, out of reach of a Ctrl-C', async () => {
  await using dir = await tempDir('embedded');
  const broker = await start(dir.path);
  const group = (pid: number) => execFileSync('ps', ['-o', 'pgid=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  expect(group(broker.pid)).not.toBe(group(process.pid));
  await broker.stop();
});

test('after a kill -9 of nats-server it is back on the same port, and clients reconnect', async () => {
  await using dir = await tempDir('embedded');
  const broker = await start(dir.path);
  const { pid, url } = broker;
  const client = await connect({ servers: url, reconnectTimeWait: 50, maxReconnectAttempts: -1 });
  process.kill(pid, 'SIGKILL');
  await until('it is another process', () => broker.pid !== pid);
  expect(broker.url).toBe(url);
  await until('the client is back', () => client.rtt());
  expect(
    lines.filter((line) => line.includes(`embedded nats-server ${pid} ended by signal 9: restarting`)),
  ).toHaveLength(1);
  await client.close();
  await broker.stop();
});

test('after a kill of its shell alone it is restarted too, and never twice on one store', async () => {
  await using dir = await tempDir('embedded');
  const broker = await start(dir.path);
  const { pid } = broker;
  const guard = Number(execFileSync('ps', ['-o', 'ppid=', '-p', String(pid)], { encoding: 'utf8' }));
  process.kill(guard, 'SIGKILL');
  await until('it is another process', () => broker.pid !== pid);
  expect(isRunning(pid)).toBe(false);
  await broker.stop();
});

test('does not outlive a parent that is killed with -9, and the next start waits for its end', async () => {
  await using dir = await tempDir('embedded');
  const options = JSON.stringify({ binary, dataDir: dir.path, configFile });
  const parent = await spawnSourceProgram(`
    const { EmbeddedBroker } = await import('./libs/jetstream/src/embedded/embedded-broker.ts');
    const broker = await EmbeddedBroker.start({ ...${options}, log: console.error });
    console.log('broker ' + broker.pid);
  `);
  const pid = await until('it has a broker', () => Number(/broker (\d+)/.exec(parent.output())?.[1]));
  await parent.killGroup9();
  const next = await start(dir.path);
  expect(isRunning(pid)).toBe(false);
  expect(await readFile(join(dir.path, 'nats/nats-server.log'), 'utf8')).toContain('Server Exiting');
  await next.stop();
});

test('a second one on the same data directory is refused; the error names the first process', async () => {
  await using dir = await tempDir('embedded');
  const broker = await start(dir.path);
  await expect(BrokerFolder.open(dir.path, 200)).rejects.toThrow(
    `in use by the Lanekeeper process ${process.pid}, wanted it free; end that process (kill ${process.pid})`,
  );
  await broker.stop();
  (await BrokerFolder.open(dir.path, 0)).close();
});

test('waits for the broker of a former process, and names it when it does not end', async () => {
  await using dir = await tempDir('embedded');
  const store = join(dir.path, 'nats');
  await mkdir(store);
  const former = spawn(binary, [
    '-a',
    '127.0.0.1',
    '-p',
    '-1',
    '-js',
    '-sd',
    store,
    '-P',
    join(store, 'nats-server.pid'),
  ]);
  await once(former.stderr, 'data');
  await until('it wrote its pid', () => readFile(join(store, 'nats-server.pid'), 'utf8'));
  await expect(BrokerFolder.open(dir.path, 100)).rejects.toThrow(
    `found ${store} in use by the nats-server process ${former.pid}, wanted it free`,
  );

  const starting = start(dir.path);
  former.kill('SIGTERM');
  const broker = await starting;
  expect(former.exitCode ?? former.signalCode).not.toBeNull();
  await broker.stop();
});

test('ignores a stale pid file with the pid of another program', async () => {
  await using dir = await tempDir('embedded');
  await mkdir(join(dir.path, 'nats'));
  await writeFile(join(dir.path, 'nats/nats-server.pid'), `${process.pid}\n`);
  const broker = await start(dir.path);
  await broker.stop();
});

test('a failed start shows the end of the log and what to do, and leaves the directory free', async () => {
  await using dir = await tempDir('embedded');
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const failure = await start(dir.path, port).catch((error: Error) => error.message);
  expect(failure).toMatch(
    /ended with exit code 1; the end of .*nats-server\.log:[^]*address already in use[^]*must be free/,
  );
  taken.close();
  const broker = await start(dir.path, port);
  expect(broker.url).toBe(`nats://127.0.0.1:${port}`);
  await broker.stop();
});

test('a wrong config file is reported with the message of nats-server', async () => {
  await using dir = await tempDir('embedded');
  const wrong = join(dir.path, 'wrong.conf');
  await writeFile(wrong, 'no_such_thing: 1\n');
  await expect(EmbeddedBroker.start({ binary, dataDir: dir.path, configFile: wrong, log })).rejects.toThrow(
    'no_such_thing',
  );
});
