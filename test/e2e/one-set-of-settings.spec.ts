import { createHmac } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from '@nats-io/transport-node';
import { afterEach, describe, expect, it } from 'vitest';
import { readConnection } from '#config';
import { expectNothingLeft, startBroker, startService, tempDir, until, type ServiceProcess } from '#testing';
import { ApiClient } from '../support/api-client.js';
import { spawnCli } from '../support/built-program.js';
import { startUp, type RunningUp } from '../support/lanekeeper-up.js';
import { answerJson, startAgent, type RecordingAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

const SECRET = 'a secret of sixteen';

/** Folders with settings files, each for one process as people start it. */
async function folders() {
  const made: AsyncDisposable[] = [];
  const dispose = async (): Promise<void> => {
    for (const one of made.toReversed()) await one[Symbol.asyncDispose]();
  };
  return {
    /** A new one with this file; `undefined` = without a file. */
    make: async (settings?: object): Promise<string> => {
      const dir = await tempDir('settings');
      made.push(dir);
      if (settings !== undefined) await write(dir.path, settings);
      return dir.path;
    },
    start: async (role: string, folder: string, env: NodeJS.ProcessEnv): Promise<ServiceProcess> => {
      const service = await startService({ args: [role], cwd: folder, env: { LANEKEEPER_HTTP_PORT: '0', ...env } });
      made.push(service);
      return service;
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** JSON is YAML too. */
async function write(folder: string, settings: object): Promise<void> {
  await writeFile(join(folder, 'lanekeeper.yaml'), JSON.stringify(settings));
}

/** `lanekeeper settings …` as an operator runs it. */
async function cli(folder: string, env: NodeJS.ProcessEnv, ...args: string[]) {
  const command = await spawnCli({ folder, env }, ['settings', ...args]);
  const { code } = await command.exited;
  return { code, output: command.output() };
}

const naming = (text: string) => startAgent((_call, response) => answerJson(response, { replies: [{ text }] }));
const main = ({ url }: RecordingAgent, more: object = {}) => ({ agents: { main: { url, ...more } } });
const natsOf = ({ dir }: RunningUp) => ({
  LANEKEEPER_NATS_URL: readConnection(dir.path)?.natsUrl,
});
const inFolder = (folder: string): NodeJS.ProcessEnv => ({ LANEKEEPER_CONFIG: join(folder, 'lanekeeper.yaml') });

async function replies(api: ApiClient, sessions: number): Promise<string[]> {
  const numbers = Array.from({ length: sessions }, (_, n) => n);
  const answers = await Promise.all(numbers.map((n) => api.send(`s${n}`, { text: 'who?' }, { wait: '20s' })));
  return answers.map(({ body }) => body.replies?.[0]?.text);
}

async function workersOf(api: ApiClient) {
  return (await api.get('/v1/workers')).body;
}

/** Resolves when two workers have half of the shards each. */
async function shared(api: ApiClient): Promise<void> {
  await until('two workers share the shards', async () => {
    const { workers } = await workersOf(api);
    return workers.length === 2 && workers.every(({ shards }: { shards: number }) => shards === 32);
  });
}

describe('a worker from another folder', () => {
  it('without a file answers eight of eight messages with the installation’s agent', async () => {
    await using agent = await naming('the agent');
    await using place = await folders();
    const folder = await place.make(main(agent));
    await using up = await startUp(inFolder(folder));
    const stray = await place.start('worker', await place.make(), natsOf(up));
    await shared(up.api);
    expect(await replies(up.api, 8)).toEqual(Array.from({ length: 8 }, () => 'the agent'));
    expect(agent.calls).toHaveLength(8);
    const { workers, settings } = await workersOf(up.api);
    expect(settings).toEqual({ current: 1, ingress: 1 });
    expect(workers.map((worker: { settingsVersion: number }) => worker.settingsVersion)).toEqual([1, 1]);
    expect(stray.output()).not.toContain('"level":"warn"');
  });

  it('with a file that says otherwise names each field with both values, secrets as hashes, and acts on the installation’s', async () => {
    await using agent = await naming('the agent');
    await using other = await naming('another agent');
    await using place = await folders();
    const settings = main(agent, { maxAttempts: 5, secret: SECRET });
    await using up = await startUp(inFolder(await place.make({ ...settings, guard: { ttlMs: 60_000 } })));
    const theirs = {
      ...main(other, { secret: 'another of sixteen' }),
      guard: { ttlMs: 70_000 },
      worker: { capacity: 7 },
    };
    const stray = await place.start('worker', await place.make(theirs), natsOf(up));
    await shared(up.api);
    expect(await replies(up.api, 8)).toEqual(Array.from({ length: 8 }, () => 'the agent'));
    expect(other.calls).toHaveLength(0);

    const told = stray
      .output()
      .split('\n')
      .filter((line) => line.includes('"field"'))
      .map((line) => JSON.parse(line));
    const hash = expect.stringMatching(/^hash \w{8}$/);
    expect(told.map(({ level, field, here, installation }) => [level, field, here, installation])).toEqual([
      ['warn', 'agents.main.maxAttempts', 'unset', '5'],
      ['warn', 'agents.main.secret', hash, hash],
      ['warn', 'agents.main.url', JSON.stringify(other.url), JSON.stringify(agent.url)],
      ['warn', 'guard.ttlMs', '70000', '60000'],
    ]);
    expect(stray.output()).not.toMatch(/of sixteen/);
    const { workers } = await workersOf(up.api);
    expect(workers.map(({ capacity }: { capacity: number }) => capacity).toSorted()).toEqual([1_000, 7]);
  });

  it('without the secret of an agent never calls it, says what it lacks, and runs the others', async () => {
    await using agent = await naming('the agent');
    await using broker = await startBroker();
    await using place = await folders();
    const env = { LANEKEEPER_NATS_URL: broker.url };
    const settings = main(agent, { secret: SECRET });
    expect(await cli(await place.make(settings), env, 'push')).toMatchObject({ code: 0 });
    const ingress = await place.start('ingress', await place.make(), env);
    const api = new ApiClient(ingress.url ?? '');
    const stray = await place.start('worker', await place.make(), env);
    await until('it works', async () => (await workersOf(api)).workers[0]?.shards === 64);
    expect((await workersOf(api)).workers[0].agents).toEqual(['echo']);
    expect(stray.output()).toMatch(/"level":"warn".*"agent":"main","lacks":"agents.main.secret"/);
    const echo = new ApiClient(api.url, 'echo');
    expect((await echo.send('s', { text: 'hi' }, { wait: '20s' })).body.replies).toEqual([{ text: 'hi' }]);
    await stray.stop();

    await place.start('worker', await place.make(), { ...env, LANEKEEPER_AGENT_SECRET: SECRET });
    expect(await replies(api, 1)).toEqual(['the agent']);
    const [call] = agent.calls;
    const signature = createHmac('sha256', SECRET)
      .update(call?.raw ?? '')
      .digest('hex');
    expect(call?.headers['x-lanekeeper-signature']).toBe(`sha256=${signature}`);
    expect(agent.calls).toHaveLength(1);
  });

  it('that was there before the installation had settings ends when it gets others, instead of answering with the echo', async () => {
    await using agent = await naming('the agent');
    await using broker = await startBroker();
    await using place = await folders();
    const env = { LANEKEEPER_NATS_URL: broker.url };
    const stray = await place.start('worker', await place.make(), env);
    const folder = await place.make(main(agent));
    const ingress = await place.start('ingress', folder, env);
    expect(await stray.exited).toMatchObject({ code: 1 });
    expect(stray.output()).toMatch(/started before its installation had settings.*version 1 .*start it again/);
    await place.start('worker', await place.make(), env);
    expect(await replies(new ApiClient(ingress.url ?? ''), 4)).toEqual(Array.from({ length: 4 }, () => 'the agent'));
  });
});

it('three roles that start at once with one file make one version of it', async () => {
  await using agent = await naming('the agent');
  await using broker = await startBroker();
  await using place = await folders();
  const folder = await place.make(main(agent));
  const env = { LANEKEEPER_NATS_URL: broker.url };
  const roles = await Promise.all(['ingress', 'worker', 'guard'].map((role) => place.start(role, folder, env)));
  const api = new ApiClient(roles[0]?.url ?? '');
  expect(await replies(api, 2)).toEqual(['the agent', 'the agent']);
  expect((await workersOf(api)).settings).toEqual({ current: 1, ingress: 1 });
  for (const role of roles) expect(role.output()).not.toContain('"level":"warn"');
});

it('to edit the file and start `up` again is all there is to do', async () => {
  await using one = await naming('one');
  await using two = await naming('two');
  await using place = await folders();
  const folder = await place.make(main(one));
  await using up = await startUp({ ...inFolder(folder), LANEKEEPER_LOG_LEVEL: 'info' });
  expect(await replies(up.api, 1)).toEqual(['one']);
  await up.service.stop();
  await up.again();
  expect((await workersOf(up.api)).settings).toEqual({ current: 1, ingress: 1 });
  await up.service.stop();
  await write(folder, main(two, { maxAttempts: 7 }));
  await up.again();
  expect((await workersOf(up.api)).settings).toEqual({ current: 2, ingress: 2 });
  expect(await replies(up.api, 1)).toEqual(['two']);
  const change = up.service
    .output()
    .split('\n')
    .find((line) => line.includes('"field":"agents.main.url"'));
  expect(JSON.parse(change ?? '{}')).toMatchObject({
    level: 'info',
    before: JSON.stringify(one.url),
    after: JSON.stringify(two.url),
    settingsVersion: 2,
  });
  await up.service.stop();
  await write(folder, {});
  await up.again();
  expect((await workersOf(up.api)).settings).toEqual({ current: 3, ingress: 3 });
  expect((await up.api.send('s', { text: 'hi' }, { wait: '20s' })).body.replies).toEqual([{ text: 'hi' }]);
});

it('an `up` in the wrong folder leaves the settings of a broker that it shares', async () => {
  await using agent = await naming('the agent');
  await using broker = await startBroker();
  await using place = await folders();
  const env = { LANEKEEPER_NATS_URL: broker.url };
  await cli(await place.make(main(agent)), env, 'push');
  const up = await place.start('up', await place.make(), env);
  const api = new ApiClient(up.url ?? '');
  expect(await replies(api, 2)).toEqual(['the agent', 'the agent']);
  expect((await workersOf(api)).settings).toEqual({ current: 1, ingress: 1 });
});

it('the pool of `up` has its settings and its secrets', async () => {
  await using agent = await naming('the agent');
  await using place = await folders();
  const folder = await place.make({ ...main(agent, { secret: SECRET }), gateway: { workerPool: { maxWorkers: 2 } } });
  await using up = await startUp(inFolder(folder));
  expect(await replies(up.api, 2)).toEqual(['the agent', 'the agent']);
  for (const { headers } of agent.calls) expect(headers['x-lanekeeper-signature']).toMatch(/^sha256=/);
  const { workers } = await workersOf(up.api);
  expect(workers.map((worker: { settingsVersion: number }) => worker.settingsVersion)).toEqual([1]);
});

it('an operator pushes, shows and compares settings; what runs is told, and takes them when it starts again', async () => {
  await using one = await naming('one');
  await using two = await naming('two');
  await using broker = await startBroker();
  await using place = await folders();
  const env = { LANEKEEPER_NATS_URL: broker.url };
  const folder = await place.make(main(one));
  expect((await cli(folder, env, 'show')).output).toMatch(/found no settings of an installation; start a role/);
  expect((await cli(folder, env, 'diff')).code).toBe(2);
  expect((await cli(folder, env, 'push')).output).toContain('version 1 stands there now');
  expect(await cli(folder, env, 'diff')).toEqual({ code: 0, output: 'no differences: version 1 says the same\n' });
  const ingress = await place.start('ingress', folder, env);
  const api = new ApiClient(ingress.url ?? '');
  const worker = await place.start('worker', folder, { ...env, LANEKEEPER_WORKER_ID: 'w' });
  expect(await replies(api, 1)).toEqual(['one']);

  await writeFile(join(folder, 'next.yaml'), `agents: {main: {url: '${two.url}'}, support: {handler: echo}}\n`);
  const diff = await cli(folder, env, 'diff', 'next.yaml');
  expect(diff.code).toBe(1);
  expect(diff.output).toMatch(/agents\.main\.url .*:\d+\/turn.*:\d+\/turn/);
  expect(diff.output).toMatch(/agents\.support\.handler .*unset .*"echo"/);
  await writeFile(join(folder, 'wrong.yaml'), 'agents: {main: {maxAtempts: 3}}\n');
  const wrong = await cli(folder, env, 'push', 'wrong.yaml');
  expect(wrong.code).toBe(1);
  expect(wrong.output).toMatch(
    /agents\.main\.maxAtempts: found an unknown setting, .*did you mean agents\.main\.maxAttempts/,
  );
  expect((await cli(folder, env, 'push', 'next.yaml', '--expect', '4')).output).toMatch(/found version 1, wanted 4/);
  expect((await cli(folder, env, 'push', 'next.yaml', '--expect', '1')).output).toContain('version 2 stands there now');
  const shown = await cli(folder, env, 'show');
  expect(shown.output).toMatch(/^# version 2, put there by lanekeeper settings push on /);
  expect(shown.output).toContain(`url: ${two.url}`);

  const heard = () => worker.output().includes('"settingsVersion":1,"newest":2,"msg":"the installation has newer');
  await until('the worker has heard', () => heard());
  expect(await replies(api, 1)).toEqual(['one']);
  expect(await workersOf(api)).toMatchObject({
    workers: [{ worker: 'w', settingsVersion: 1 }],
    settings: { current: 2, ingress: 1 },
  });
  await worker.stop();
  await place.start('worker', await place.make(), { ...env, LANEKEEPER_WORKER_ID: 'w' });
  expect(await replies(api, 1)).toEqual(['two']);
  expect(await workersOf(api)).toMatchObject({
    workers: [{ worker: 'w', settingsVersion: 2, agents: ['main', 'echo', 'support'] }],
  });
});

it('settings that a process cannot read stop its start, and the error says what to do', async () => {
  await using broker = await startBroker();
  await using place = await folders();
  const env = { LANEKEEPER_NATS_URL: broker.url };
  const folder = await place.make({ agents: { main: {} } });
  await cli(folder, env, 'push');
  const nc = await connect({ servers: broker.url });
  try {
    await nc.request('$KV.lk_settings.current', '{"v":2}');
    for (const role of ['ingress', 'worker', 'guard', 'up']) {
      await expect(place.start(role, folder, env)).rejects.toThrow(
        /settings, version 2: found a document of a later version of lanekeeper, wanted shape 1; run that version/,
      );
    }
    await nc.request('$KV.lk_settings.current', 'rubbish');
    await expect(place.start('worker', folder, env)).rejects.toThrow(/found a damaged document.*settings push <file>/);
  } finally {
    await nc.close();
  }
  expect((await cli(folder, env, 'push')).output).toContain('version 4 stands there now');
  await place.start('worker', folder, env);
});

it('damaged ones do not keep an `up` from its start, whose broker would else be away for the push that mends them', async () => {
  await using agent = await naming('the agent');
  await using place = await folders();
  await using up = await startUp(inFolder(await place.make(main(agent))));
  const nc = await connect({ servers: natsOf(up).LANEKEEPER_NATS_URL ?? '' });
  await nc.request('$KV.lk_settings.current', 'rubbish');
  await nc.close();
  await up.service.stop();
  await up.again();
  expect(up.service.output()).toContain('the settings of the installation are damaged');
  expect(await replies(up.api, 1)).toEqual(['the agent']);
  expect((await workersOf(up.api)).settings).toEqual({ current: 3, ingress: 3 });
});
