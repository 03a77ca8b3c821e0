import { Command } from 'commander';
import { parse } from 'yaml';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadSettings, type SettingsInput } from '#config';
import { Names } from '#contracts';
import { SettingsStore } from '#settings-store';
import { silentLogger } from '#telemetry';
import { connectedBroker, expectNothingLeft, type ConnectedBroker } from '#testing';
import { addSettingsCommand } from './settings-command.js';

let on: ConnectedBroker;
let names: Names;
let store: SettingsStore;
let count = 0;

beforeAll(async () => {
  on = await connectedBroker();
});
beforeEach(async () => {
  names = new Names(`cmd${++count}`, 64);
  await on.makeStreams(names);
  store = new SettingsStore(on.connection, names, silentLogger);
});
afterEach(() => {
  store.close();
  process.exitCode = 0;
});
afterAll(async () => {
  await on[Symbol.asyncDispose]();
  await expectNothingLeft();
});

const SECRET = 'a secret of sixteen';
const told = (main: object): SettingsInput => ({ agents: { main } });

/** Runs the command in a folder whose file says this. */
async function run(args: string[], file: SettingsInput = {}) {
  const printed: string[] = [];
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  const settings = loadSettings({ env: {}, cwd: '/', overrides: file });
  let isClosed = false;
  addSettingsCommand(
    program,
    async () => ({ settings, store, close: async () => void (isClosed = true) }),
    (text) => void printed.push(text),
  );
  program.commands[0]?.commands.forEach((command) => command.exitOverride().configureOutput({ writeErr: () => {} }));
  process.exitCode = 0;
  const end = await program.parseAsync(['settings', ...args], { from: 'user' }).then(
    () => undefined,
    (error: Error) => error.message,
  );
  if (end === undefined) expect(isClosed).toBe(true);
  return { output: printed.join('\n'), end, exitCode: process.exitCode };
}

describe('lanekeeper settings push', () => {
  it('puts the file there, names the version and what changed, and shows no secret', async () => {
    const first = await run(['push'], told({ url: 'http://h/1', secret: SECRET }));
    expect(first.output).toMatch(/agents\.main\.url .*unset.*"http:\/\/h\/1"/);
    expect(first.output).toMatch(/agents\.main\.secret .*unset.*hash \w{8}/);
    expect(first.output).toContain('version 1 stands there now');
    const second = await run(['push'], told({ url: 'http://h/2', secret: SECRET }));
    expect(second.output).toMatch(/setting .*version 1 .*version 2/);
    expect(second.output).toMatch(/agents\.main\.url .*"http:\/\/h\/1".*"http:\/\/h\/2"/);
    expect(second.output).not.toContain('agents.main.secret');
    expect(first.output + second.output).not.toContain(SECRET);
  });

  it('of the same changes nothing and says so', async () => {
    await run(['push'], told({ url: 'http://h/1' }));
    const { output, exitCode } = await run(['push'], told({ url: 'http://h/1' }));
    expect([output, exitCode]).toEqual(['nothing changed: version 1 says the same', 0]);
  });

  it('with --expect is refused when another version stands there', async () => {
    await run(['push'], told({ url: 'http://h/1' }));
    const refused = await run(['push', '--expect', '0'], told({ url: 'http://h/2' }));
    expect(refused.end).toMatch(/found version 1, wanted 0: .*Nothing was changed; .*settings diff/);
    expect((await run(['push', '--expect', '1'], told({ url: 'http://h/2' }))).output).toContain('version 2 stands');
    expect((await run(['push', '--expect', 'two'], told({}))).end).toContain('whole number');
  });

  it('of a file that says nothing is refused: it would take every agent away', async () => {
    await run(['push'], told({ url: 'http://h/1' }));
    for (const file of [{}, { drainMs: 5 }, told({ secret: SECRET })]) {
      expect((await run(['push'], file)).end).toMatch(/found nothing of agents, queueing or guard/);
      expect(await run(['diff'], file)).toMatchObject({ end: expect.stringContaining('found nothing'), exitCode: 2 });
    }
    expect((await store.read()).version).toBe(1);
  });

  it('keeps secrets that are not known where it runs, until they are to be dropped', async () => {
    await run(['push'], told({ url: 'http://h/1', secret: SECRET }));
    await run(['push'], told({ url: 'http://h/2' }));
    expect((await run(['show'])).output).toContain('agents.main.secret');
    expect((await run(['diff'], told({ url: 'http://h/2' }))).exitCode).toBe(0);
    const dropped = await run(['push', '--drop-secrets'], told({ url: 'http://h/2' }));
    expect(dropped.output).toMatch(/agents\.main\.secret .*hash \w{8}.*unset/);
    expect((await run(['show'])).output).not.toContain('agents.main.secret');
  });

  it('mends a damaged document; one of a later version it replaces by --force alone', async () => {
    const bucket = on.bucket(names.settingsBucket);
    await bucket.write('current', 'rubbish', { expected: 0 });
    expect((await run(['show'])).end).toContain('damaged');
    expect((await run(['push'], told({ url: 'http://h/1' }))).output).toContain('version 2 stands');
    await bucket.write('current', '{"v":2}', { expected: 2 });
    expect((await run(['push'], told({ url: 'http://h/1' }))).end).toContain('a later version of lanekeeper');
    expect((await run(['push', '--force'], told({ url: 'http://h/1' }))).output).toContain('version 4 stands');
  });
});

describe('lanekeeper settings diff', () => {
  it('lists what a push would change and exits with 1; with 0 when that is nothing', async () => {
    await run(['push'], told({ url: 'http://h/1', maxAttempts: 2 }));
    const other = await run(['diff'], told({ url: 'http://h/2' }));
    expect(other.output).toMatch(/setting .*version 1 .*this file/);
    expect(other.output).toMatch(/agents\.main\.maxAttempts .*2.*unset/);
    expect(other.output).toMatch(/agents\.main\.url .*"http:\/\/h\/1".*"http:\/\/h\/2"/);
    expect(other.exitCode).toBe(1);
    const same = await run(['diff'], told({ url: 'http://h/1', maxAttempts: 2 }));
    expect([same.output, same.exitCode]).toEqual(['no differences: version 1 says the same', 0]);
  });

  it('of an installation without settings is the whole file', async () => {
    const { output, exitCode } = await run(['diff'], told({ url: 'http://h/1' }));
    expect(output).toMatch(/none yet .*this file/);
    expect(output).toMatch(/agents\.main\.url .*unset.*"http:\/\/h\/1"/);
    expect(exitCode).toBe(1);
  });
});

describe('lanekeeper settings show', () => {
  it('prints a file that can be edited and pushed, with its version and who put it there', async () => {
    const file = { agents: { main: { url: 'http://h/1' } }, channels: { sms: { strategy: 'debounce' as const } } };
    await run(['push'], file);
    const { output } = await run(['show']);
    expect(output).toMatch(/^# version 1, put there by lanekeeper settings push on .+ at \d{4}-/);
    expect(parse(output)).toEqual(file);
    expect((await run(['push'], parse(output) as SettingsInput)).output).toContain('nothing changed');
    expect(JSON.parse((await run(['show', '--json'])).output)).toMatchObject({
      version: 1,
      settings: file,
      secrets: {},
    });
  });

  it('says that there are none yet', async () => {
    expect((await run(['show'])).output).toContain('no settings yet');
    expect(JSON.parse((await run(['show', '--json'])).output)).toEqual({ version: 0 });
  });
});
