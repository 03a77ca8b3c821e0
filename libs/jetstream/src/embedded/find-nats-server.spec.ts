import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { tempDir } from '#testing';
import { findNatsServer } from './find-nats-server.js';

async function fakeServer(folder: string, version: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, 'nats-server');
  await writeFile(path, `#!/bin/sh\necho "nats-server: v${version}"\n`);
  await chmod(path, 0o755);
  return path;
}

const log = () => {};
const noFetch = () => Promise.reject(new Error('must not fetch'));

test('NATS_SERVER_BIN comes before everything else', async () => {
  await using dir = await tempDir('find');
  const named = await fakeServer(join(dir.path, 'named'), '2.14.0');
  await fakeServer(join(dir.path, 'path'), '2.15.1');
  const env = { NATS_SERVER_BIN: named, PATH: join(dir.path, 'path') };
  expect(await findNatsServer({ env, packageRoot: dir.path, log, fetch: noFetch })).toBe(named);
});

test('a NATS_SERVER_BIN that is missing, too old or another program is an error that says so', async () => {
  await using dir = await tempDir('find');
  const find = (NATS_SERVER_BIN: string) =>
    findNatsServer({ env: { NATS_SERVER_BIN, PATH: '' }, packageRoot: dir.path, log, fetch: noFetch });
  const missing = join(dir.path, 'missing');
  await expect(find(missing)).rejects.toThrow(`NATS_SERVER_BIN: found ${missing}, which is no executable file, wanted`);
  const old = await fakeServer(join(dir.path, 'old'), '2.9.15');
  await expect(find(old)).rejects.toThrow(
    `NATS_SERVER_BIN: found ${old} 2.9.15, wanted the path of a nats-server 2.14.0`,
  );
  await expect(find('/bin/true')).rejects.toThrow('no version, wanted');
  await expect(find('/bin/false')).rejects.toThrow('it does not run');
});

test('the first on the PATH that is new enough comes next, then the newest in the cache', async () => {
  await using dir = await tempDir('find');
  await fakeServer(join(dir.path, 'old'), '2.9.99');
  const good = await fakeServer(join(dir.path, 'good'), '2.14.2');
  const cache = join(dir.path, '.cache/nats-server');
  await fakeServer(join(cache, '2.15.9'), '2.15.9');
  const newest = await fakeServer(join(cache, '2.15.10'), '2.15.10');
  await mkdir(join(cache, '.fetch-abc'));
  const find = (...folders: string[]) => {
    const PATH = ['/nowhere', ...folders.map((name) => join(dir.path, name))].join(':');
    return findNatsServer({ env: { PATH }, packageRoot: dir.path, log, fetch: noFetch });
  };
  expect(await find('old', 'good')).toBe(good);
  expect(await find('old')).toBe(newest);
});

test('on other systems one message says what was found and what to do', async () => {
  await using dir = await tempDir('find');
  const old = await fakeServer(join(dir.path, 'old'), '2.9.99');
  const find = (platform: NodeJS.Platform, PATH = '') =>
    findNatsServer({ env: { PATH }, packageRoot: dir.path, log, platform, fetch: noFetch });
  await expect(find('darwin')).rejects.toThrow(
    'nats-server: found none on the PATH, wanted 2.14.0 or later; run `brew install nats-server`, then start again',
  );
  await expect(find('freebsd', join(dir.path, 'old'))).rejects.toThrow(`found only ${old} 2.9.99`);
  await expect(find('freebsd')).rejects.toThrow('set NATS_SERVER_BIN to the binary');
});

test.runIf(process.platform === 'linux')('on Debian it is fetched only when none is found', async () => {
  await using dir = await tempDir('find');
  const fetch = vi.fn(async () => '/fetched');
  const options = { packageRoot: dir.path, log, fetch };
  const fetched = await findNatsServer({ env: { PATH: '' }, ...options }).catch(() => 'not a Debian');
  expect(fetch.mock.calls.length).toBe(fetched === '/fetched' ? 1 : 0);
  await fakeServer(join(dir.path, '.cache/nats-server/2.15.1'), '2.15.1');
  await findNatsServer({ env: { PATH: '' }, ...options });
  expect(fetch.mock.calls.length).toBe(fetched === '/fetched' ? 1 : 0);
});
