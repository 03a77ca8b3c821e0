import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadSettings, type SettingsInput } from '#config';
import { Names } from '#contracts';
import { applyTopology, BrokerConnection, settingsBucket } from '#jetstream';
import { silentLogger, type Logger } from '#telemetry';
import { connectedBroker, expectNothingLeft, startBroker, tempDir, until, type ConnectedBroker } from '#testing';
import { joinInstallation, type Installation } from './join-installation.client.js';
import { putSettings } from './put-settings.client.js';
import { readStored, SettingsStore } from './settings-store.client.js';

let on: ConnectedBroker;
let count = 0;
const open: { close(): void }[] = [];

beforeAll(async () => {
  on = await connectedBroker();
});
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});
afterAll(async () => {
  await on[Symbol.asyncDispose]();
  await expectNothingLeft();
});

interface Line {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A separate, empty installation. */
async function emptyInstallation() {
  const names = new Names(`join${++count}`, 64);
  await on.makeStreams(names);
  const lines: Line[] = [];
  const say = (level: string) => (fields: object, message: string) => void lines.push({ level, message, ...fields });
  const log: Logger = { ...silentLogger, info: say('info'), warn: say('warn') };
  const store = new SettingsStore(on.connection, names, silentLogger);
  open.push(store);
  return {
    ...{ names, lines, store, bucket: on.bucket(names.settingsBucket) },
    join: async (overrides: SettingsInput, role = 'worker'): Promise<Installation> => {
      const settings = loadSettings({ env: {}, cwd: '/', overrides });
      const installation = await joinInstallation({ connection: on.connection, names, settings, role, log });
      open.push(installation);
      return installation;
    },
    push: async (overrides: SettingsInput) => {
      const standing = await store.read();
      const before = readStored(standing);
      const settings = loadSettings({ env: {}, cwd: '/', overrides });
      return putSettings(store, settings, { before, standing, command: 'spec' });
    },
  };
}

const url = (port: number): SettingsInput => ({ agents: { main: { url: `http://127.0.0.1:${port}/` } } });
const mainOf = ({ settings }: Installation) => settings.agents['main']?.url;

describe('an installation without settings', () => {
  it('gets the settings of the first process that has some', async () => {
    const { join, store } = await emptyInstallation();
    const first = await join(url(1), 'ingress');
    expect([first.version, mainOf(first)]).toEqual([1, 'http://127.0.0.1:1/']);
    const document = readStored(await store.read());
    expect(document).toMatchObject({ settings: url(1), by: expect.stringMatching(/^ingress on ./) });
  });

  it('gets one set of settings when ten processes with different ones start at once', async () => {
    const { join, store } = await emptyInstallation();
    const all = await Promise.all(Array.from({ length: 10 }, (_, n) => join(url(n + 1))));
    expect((await store.read()).version).toBe(1);
    expect(new Set(all.map(mainOf)).size).toBe(1);
    expect(all.map(({ version }) => version)).toEqual(all.map(() => 1));
  });

  it('gets none from a process that has no settings, or only a secret', async () => {
    const { join, store } = await emptyInstallation();
    const secret = 'a secret of sixteen';
    for (const told of [{}, { drainMs: 5 }, { agents: { main: { secret } } }]) {
      const { version, settings } = await join(told);
      expect([version, settings.agents['main']?.url]).toEqual([0, undefined]);
    }
    expect((await store.read()).version).toBe(0);
  });

  it('ends a process that started without settings when different ones arrive', async () => {
    const { join, push } = await emptyInstallation();
    const stray = await join({});
    await push(url(1));
    expect(await stray.outdated).toMatchObject({
      code: 'settings_came',
      message: expect.stringContaining('version 1'),
    });
  });

  it('lets the process continue when they equal its own', async () => {
    const { join, push, lines } = await emptyInstallation();
    const early = await join({});
    await push({ agents: { main: {} } });
    await until('it has heard', () => lines.some(({ message }) => message.includes('newer settings')));
    await push(url(2));
    // It has seen version 1 before, and did not end because of it.
    expect(await early.outdated).toMatchObject({ message: expect.stringContaining('version 2') });
  });
});

it('a process that may not write settings names the permission, and uses settings stored by another one', async () => {
  const dir = await tempDir('users');
  const file = join(dir.path, 'users.conf');
  const denied = 'permissions: { publish: { deny: ["$KV.lk_settings.>"] } }';
  await writeFile(
    file,
    `authorization: { users: [ { user: role, password: r, ${denied} }, { user: operator, password: o } ] }`,
  );
  await using broker = await startBroker({ config: { file } });
  const names = new Names('lk', 64);
  const connect = (user: string) =>
    BrokerConnection.open({ url: broker.url.replace('//', `//${user}@`), name: 'spec', log: silentLogger });
  const [role, operator] = [await connect('role:r'), await connect('operator:o')];
  try {
    await applyTopology(role, [settingsBucket(names, { replicas: 1 })], silentLogger);
    const settings = loadSettings({ env: {}, cwd: '/', overrides: url(1) });
    const start = (connection: BrokerConnection) =>
      joinInstallation({ connection, names, settings, role: 'worker', log: silentLogger });
    await expect(start(role)).rejects.toThrow(/let this user publish to \$KV\.lk_settings\.>.*settings push/);
    (await start(operator)).close();
    const joined = await start(role);
    expect(joined.version).toBe(1);
    joined.close();
  } finally {
    await role.close();
    await operator.close();
    await dir.remove();
  }
});

describe('an installation with settings', () => {
  it('gives them to a process without its own', async () => {
    const { join, push, lines } = await emptyInstallation();
    await push(url(1));
    const stray = await join({});
    expect([stray.version, mainOf(stray)]).toEqual([1, 'http://127.0.0.1:1/']);
    expect(lines).toEqual([]);
  });

  it('gives them to a process with different ones, which logs each field with both values', async () => {
    const { join, push, lines, store } = await emptyInstallation();
    await push({ agents: { main: { url: 'http://127.0.0.1:1/', maxAttempts: 5, secret: 'a secret of sixteen' } } });
    const other = await join({ agents: { main: { url: 'http://127.0.0.1:2/', secret: 'other than sixteen' } } });
    expect([other.version, mainOf(other)]).toEqual([1, 'http://127.0.0.1:1/']);
    expect((await store.read()).version).toBe(1);
    const hash = expect.stringMatching(/^hash \w{8}$/);
    expect(lines.map(({ level, field, here, installation }) => [level, field, here, installation])).toEqual([
      ['warn', 'agents.main.maxAttempts', 'unset', '5'],
      ['warn', 'agents.main.secret', hash, hash],
      ['warn', 'agents.main.url', '"http://127.0.0.1:2/"', '"http://127.0.0.1:1/"'],
    ]);
    expect(JSON.stringify(lines)).not.toMatch(/sixteen/);
  });

  it('tells a running process of each newer version once, and never ends it', async () => {
    const { join, push, lines } = await emptyInstallation();
    await push(url(1));
    const running = await join({});
    let isOver = false;
    void running.outdated.then(() => (isOver = true));
    await push(url(2));
    const newer = () => lines.filter(({ message }) => message.includes('newer settings'));
    await until('it has heard', () => newer().length === 1);
    expect(newer()).toMatchObject([{ level: 'info', settingsVersion: 1, newest: 2 }]);
    expect(mainOf(running)).toBe('http://127.0.0.1:1/');
    expect(await running.newestVersion()).toBe(2);
    expect(isOver).toBe(false);
  });

  it.each([
    ['rubbish', /version 1: found a damaged document.*settings push/],
    ['{"v":2}', /version 1: found a document of a later version.*run that version/],
    [
      '{"v":1,"settings":{"agents":{"main":{"maxAttempts":0}}},"secrets":{},"salt":"0123456789abcdef","by":"","at":""}',
      /version 1; .*agents\.main\.maxAttempts: found the number 0/s,
    ],
  ])('that cannot be used (%s) stop the start of every process', async (text, message) => {
    const { join, bucket } = await emptyInstallation();
    await bucket.write('current', text, { expected: 0 });
    await expect(join({})).rejects.toThrow(message);
    await expect(join(url(1))).rejects.toThrow(message);
  });

  it('that were deleted count as none, and the next version is greater', async () => {
    const { join, push, bucket } = await emptyInstallation();
    await push(url(1));
    await bucket.remove('current', 1);
    expect((await join({})).version).toBe(0);
    expect((await join(url(3))).version).toBe(3);
  });
});

describe('a put', () => {
  it('of the same settings makes no version; of different ones the next version, and returns the changes', async () => {
    const { push, store } = await emptyInstallation();
    const told = { agents: { main: { url: 'http://u:pw@127.0.0.1:1/', secret: 'a secret of sixteen' } } };
    expect(await push(told)).toMatchObject({ version: 1 });
    expect(await push(told)).toEqual({ kind: 'stands', version: 1, differences: [] });
    const outcome = await push({ agents: { main: { ...told.agents.main, maxAttempts: 7 } } });
    expect(outcome).toMatchObject({ version: 2, differences: [{ field: 'agents.main.maxAttempts', after: '7' }] });
    expect((await store.read()).text).not.toMatch(/sixteen|pw/);
  });

  it('loses against a concurrent one, and changes nothing', async () => {
    const { push, store } = await emptyInstallation();
    await push(url(1));
    const standing = await store.read();
    await push(url(2));
    const settings = loadSettings({ env: {}, cwd: '/', overrides: url(3) });
    const before = readStored(standing);
    expect(await putSettings(store, settings, { before, standing, command: 'spec' })).toEqual({ kind: 'conflict' });
    expect(readStored(await store.read())).toMatchObject({ settings: url(2) });
  });

  it('may keep the secrets of agents that are still there', async () => {
    const { push, store } = await emptyInstallation();
    const secret = 'a secret of sixteen';
    await push({ agents: { main: { ...url(1).agents?.['main'], secret }, gone: { url: 'http://h/', secret } } });
    const standing = await store.read();
    const before = readStored(standing);
    const settings = loadSettings({ env: {}, cwd: '/', overrides: url(2) });
    await putSettings(store, settings, { before, standing, command: 'spec', keepsSecrets: true });
    const hash = before?.secrets['agents.main.secret'];
    expect(readStored(await store.read())).toMatchObject({ settings: url(2), secrets: { 'agents.main.secret': hash } });
    expect(Object.keys(readStored(await store.read())?.secrets ?? {})).toEqual(['agents.main.secret']);
  });
});
