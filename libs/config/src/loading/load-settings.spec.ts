import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { QUEUE_DEFAULTS, type InputProblem } from '#contracts';
import { loadSettings, type LoadSettingsOptions } from './load-settings.js';
import { SettingsError } from '../settings-error.js';
import type { SettingsInput } from '../settings.js';
import type { Settings } from '../settled-settings.js';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'lk-settings-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

function load(yaml: string, env: Record<string, string> = {}, overrides: SettingsInput = {}): Settings {
  writeFileSync(join(cwd, 'lanekeeper.yaml'), yaml);
  return loadSettings({ cwd, env, overrides });
}

function problemsOf(run: () => Settings): readonly InputProblem[] {
  try {
    run();
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

const LIMITS = {
  streamIdleMs: 120_000,
  turnTimeoutMs: 300_000,
  abortGraceMs: 5_000,
  maxAttempts: 3,
  backoffInitialMs: 1_000,
  backoffMaxMs: 30_000,
  retryLaterMaxMs: 3_600_000,
  laneBuffer: 512,
  queueing: QUEUE_DEFAULTS,
  channels: {},
};

const POOL = { minWorkers: 1, maxWorkers: 5, idleTimeout: 60 };

describe('defaults', () => {
  it('are complete without a file, variables or options', () => {
    const settings = loadSettings({ cwd, env: {} });
    expect(settings).toEqual({
      http: { host: '127.0.0.1' },
      dataDir: join(cwd, '.lanekeeper'),
      nats: { replicas: 1 },
      namespace: 'lk',
      shards: 64,
      agents: { main: LIMITS, echo: LIMITS },
      shared: {},
      worker: { capacity: 1000, headTableBytes: 16_777_216 },
      membership: { ttlMs: 10_000, renewMs: 2_000 },
      gateway: {},
      guard: {
        ttlMs: 300_000,
        stale: 'heal',
        maxAttempts: 1,
        whenUnavailable: 'closed',
        answerWithinMs: 2_000,
        keepMs: 86_400_000,
        keepFailedMs: 31_536_000_000,
        sweepMs: 5_000,
      },
      inbox: { keepMs: 86_400_000, agentMissingMs: 604_800_000 },
      drainMs: 30_000,
      dedup: { windowMs: 900_000 },
      log: { level: 'info', contents: false },
    });
  });

  it.each(['', '# only a comment\n', 'http:\nnats:\nagents:\n  # all commented out\n', '{}', '\uFEFFdrainMs: 30000'])(
    'hold for the file %j',
    (yaml) => expect(load(yaml)).toEqual(loadSettings({ cwd: join(cwd, '.'), env: {} })),
  );
});

describe('precedence', () => {
  const yaml = 'http: {port: 1, host: localhost}\ndrainMs: 1\n';
  const cases: [string, Record<string, string>, SettingsInput, number][] = [
    ['file over default', {}, {}, 1],
    ['environment over file', { LANEKEEPER_HTTP_PORT: '2' }, {}, 2],
    ['option over environment', { LANEKEEPER_HTTP_PORT: '2' }, { http: { port: 0 } }, 0],
    ['an empty variable is unset', { LANEKEEPER_HTTP_PORT: '' }, {}, 1],
    ['an undefined option is unset', { LANEKEEPER_HTTP_PORT: '2' }, { http: { port: undefined } }, 2],
  ];
  it.each(cases)('%s', (_title, env, overrides, port) => {
    expect(load(yaml, env, overrides)).toMatchObject({ http: { port, host: 'localhost' }, drainMs: 1 });
  });

  it('every variable sets its setting', () => {
    const env = {
      LANEKEEPER_HTTP_HOST: '127.1.2.3',
      LANEKEEPER_HTTP_PORT: '0',
      LANEKEEPER_DATA_DIR: '/var/lib/lk',
      LANEKEEPER_NATS_URL: 'tls://me:pw@broker:4222',
      LANEKEEPER_NAMESPACE: 'blue2',
      LANEKEEPER_WORKER_ID: 'w-1',
      LANEKEEPER_WORKER_CAPACITY: '7',
      LANEKEEPER_WORKER_HEAD_TABLE_BYTES: '0',
      LANEKEEPER_DRAIN_MS: '0',
      LANEKEEPER_LOG_LEVEL: 'silent',
    };
    expect(loadSettings({ cwd, env })).toMatchObject({
      http: { host: '127.1.2.3', port: 0 },
      dataDir: '/var/lib/lk',
      nats: { url: 'tls://me:pw@broker:4222' },
      namespace: 'blue2',
      worker: { id: 'w-1', capacity: 7, headTableBytes: 0 },
      drainMs: 0,
      log: { level: 'silent' },
    });
  });

  it.each([
    ['LANEKEEPER_URL', 'http://x'],
    ['LANEKEEPER_TOKEN', 't'],
    ['LANEKEEPER_ANYTHING', ''],
    ['LANEKEEPER_SERVICE_HOST', '10.0.0.1'],
    ['LANEKEEPER_SERVICE_PORT_HTTP', '80'],
    ['LANEKEEPER_PORT', 'tcp://10.0.0.1:80'],
    ['LANEKEEPER_INGRESS_PORT_80_TCP_ADDR', '10.0.0.1'],
    ['OTEL_SERVICE_NAME', 'x'],
  ])('%s=%s is ignored', (name, value) => {
    expect(problemsOf(() => loadSettings({ cwd, env: { [name]: value } }))).toEqual([]);
  });
});

describe('agents', () => {
  it.each([
    ['main of one’s own', 'agents: {main: {handler: mine}}', { main: { ...LIMITS, handler: 'mine' }, echo: LIMITS }],
    ['an agent without settings', 'agents:\n  research:\n', { main: LIMITS, echo: LIMITS, research: LIMITS }],
    [
      'defaults complete all agents and are not an agent',
      'agents: {defaults: {handler: d}, a: {}, b: {handler: b}}',
      {
        main: { ...LIMITS, handler: 'd' },
        echo: { ...LIMITS, handler: 'd' },
        a: { ...LIMITS, handler: 'd' },
        b: { ...LIMITS, handler: 'b' },
      },
    ],
    [
      'sessionTimeout is turnTimeoutMs in seconds, and the more specific of the two wins',
      'agents: {defaults: {turnTimeoutMs: 1000}, main: {sessionTimeout: 2.5}, echo: {maxAttempts: 1}}',
      {
        main: { ...LIMITS, turnTimeoutMs: 2500 },
        echo: { ...LIMITS, turnTimeoutMs: 1000, maxAttempts: 1 },
      },
    ],
    [
      'an agent with a handler of its own takes no url from the defaults',
      'agents: {defaults: {url: "http://127.0.0.1:1/", secret: 0123456789abcdef}, main: {}, echo: {handler: echo}}',
      {
        main: { ...LIMITS, url: 'http://127.0.0.1:1/', secret: '0123456789abcdef' },
        echo: { ...LIMITS, handler: 'echo' },
      },
    ],
    [
      'an agent with its own url takes secret and headers from the defaults, unless these are for another url',
      'agents: {defaults: {secret: 0123456789abcdef, headers: {x-team: a}}, main: {url: "http://127.0.0.1:1/"}}',
      {
        main: { ...LIMITS, url: 'http://127.0.0.1:1/', secret: '0123456789abcdef', headers: { 'x-team': 'a' } },
        echo: { ...LIMITS, secret: '0123456789abcdef', headers: { 'x-team': 'a' } },
      },
    ],
    [
      'secrets for the url of the defaults are not sent to another url',
      'agents: {defaults: {url: "http://a:1/", secret: 0123456789abcdef, headers: {x-team: a}}, main: {url: "http://b:1/"}}',
      {
        main: { ...LIMITS, url: 'http://b:1/' },
        echo: { ...LIMITS, url: 'http://a:1/', secret: '0123456789abcdef', headers: { 'x-team': 'a' } },
      },
    ],
    [
      'a name of Object.prototype',
      'agents: {constructor: {handler: c}}',
      { main: LIMITS, echo: LIMITS, constructor: { ...LIMITS, handler: 'c' } },
    ],
  ])('%s', (_title, yaml, agents) => {
    expect({ ...load(yaml).agents }).toEqual(agents);
  });

  it('an unconfigured name is not found', () => {
    expect(loadSettings({ cwd, env: {} }).agents['constructor']).toBeUndefined();
  });
});

describe('the worker pool', () => {
  it.each<[string, string, Settings['gateway']]>([
    ['is off without its group', 'gateway:\n', {}],
    [
      'loads in the form that users of OpenClaw asked for',
      'gateway: {workerPool: {minWorkers: 1, maxWorkers: 5, idleTimeout: 60}}',
      { workerPool: POOL },
    ],
    ['has these numbers by default', 'gateway: {workerPool: {}}', { workerPool: POOL }],
    [
      'may stop workers soon',
      'gateway: {workerPool: {idleTimeout: 0.5}}',
      { workerPool: { ...POOL, idleTimeout: 0.5 } },
    ],
  ])('%s', (_title, yaml, gateway) => {
    expect(load(yaml).gateway).toEqual(gateway);
  });
});

describe('problems', () => {
  const later = { wanted: 'none: not in this version yet' };
  const cases: [string, string, Record<string, string>, Partial<InputProblem>[]][] = [
    [
      'wrong type',
      'http: {port: "80"}',
      {},
      [{ field: 'http.port', found: '"80"', wanted: expect.stringContaining('65535') }],
    ],
    ['fraction', 'drainMs: 1.5', {}, [{ field: 'drainMs', found: 'the number 1.5' }]],
    ['beyond a timer', 'drainMs: 86400001', {}, [{ field: 'drainMs' }]],
    ['null', 'shards:', {}, [{ field: 'shards', found: 'null' }]],
    [
      'not a power of two',
      'shards: 48',
      {},
      [{ field: 'shards', found: 'the number 48', wanted: expect.stringContaining('power') }],
    ],
    ['shards out of range', 'shards: 8', {}, [{ field: 'shards' }]],
    ['replicas', 'nats: {replicas: 2}', {}, [{ field: 'nats.replicas', wanted: '1, 3 or 5' }]],
    [
      'list for a group',
      'http: [1]',
      {},
      [{ field: 'http', found: 'an array of 1', wanted: expect.stringContaining('port') }],
    ],
    ['unknown key', 'drainsMs: 1', {}, [{ field: 'drainsMs', remedy: 'did you mean drainMs?' }]],
    ['unknown nested key', 'http: {prot: 1}', {}, [{ field: 'http.prot', remedy: 'did you mean http.port?' }]],
    [
      'unknown agent key',
      'agents: {a: {handle: x}}',
      {},
      [{ field: 'agents.a.handle', remedy: 'did you mean agents.a.handler?' }],
    ],
    ['unknown far key', 'xyzzy: 1', {}, [{ field: 'xyzzy', remedy: 'leave it out' }]],
    ['later key', 'egress: {staleMs: 1}', {}, [{ field: 'egress', ...later }]],
    ['unknown key of the guard', 'guard: {staleMs: 1}', {}, [{ field: 'guard.staleMs' }]],
    [
      'a guard beyond its bounds',
      'guard: {ttlMs: 999, stale: forget, whenUnavailable: maybe, keepMs: 1, keepFailedMs: forever}',
      {},
      [
        { field: 'guard.ttlMs', found: 'the number 999', wanted: expect.stringContaining('from 1000') },
        { field: 'guard.stale', wanted: 'one of heal, approve' },
        { field: 'guard.whenUnavailable', wanted: 'closed or open' },
        { field: 'guard.keepMs', wanted: expect.stringContaining('from 1000') },
        { field: 'guard.keepFailedMs', wanted: expect.stringContaining('or "unlimited"') },
      ],
    ],
    [
      'tasks without a source',
      'agents: {main: {taskFrom: {namespace: ops}}}',
      {},
      [{ field: 'agents.main.taskFrom', found: 'neither commands nor data' }],
    ],
    [
      'tasks from an invalid word',
      'agents: {main: {taskFrom: {commands: ["two words"], data: a}}}',
      {},
      [{ field: 'agents.main.taskFrom.commands.0' }],
    ],
    [
      'tasks from an invalid path',
      'agents: {main: {taskFrom: {commands: [/deploy], data: "a..b"}}}',
      {},
      [{ field: 'agents.main.taskFrom.data' }],
    ],
    ['another key of the gateway', 'gateway: {port: 1}', {}, [{ field: 'gateway.port', remedy: 'leave it out' }]],
    [
      'a pool of no workers',
      'gateway: {workerPool: {minWorkers: 0, maxWorkers: 65, idleTimeout: 0}}',
      {},
      [
        { field: 'gateway.workerPool.minWorkers', found: 'the number 0', wanted: expect.stringContaining('from 1') },
        { field: 'gateway.workerPool.maxWorkers', found: 'the number 65', wanted: expect.stringContaining('to 64') },
        { field: 'gateway.workerPool.idleTimeout', wanted: expect.stringContaining('seconds') },
      ],
    ],
    [
      'an unknown key of the pool',
      'gateway: {workerPool: {maxWorker: 2}}',
      {},
      [{ field: 'gateway.workerPool.maxWorker', remedy: 'did you mean gateway.workerPool.maxWorkers?' }],
    ],
    [
      'a pool smaller than its minimum',
      'gateway: {workerPool: {minWorkers: 4, maxWorkers: 2}}',
      {},
      [
        {
          field: 'gateway.workerPool.maxWorkers',
          found: '2 with minWorkers 4',
          remedy: expect.stringContaining('4 or'),
        },
      ],
    ],
    [
      'a pool that is not a group',
      'gateway: {workerPool: 3}',
      {},
      [{ field: 'gateway.workerPool', found: 'the number 3' }],
    ],
    [
      'later agent key',
      'agents: {defaults: {sessionConcurrency: 1}}',
      {},
      [{ field: 'agents.defaults.sessionConcurrency', ...later }],
    ],
    ['agent name', 'agents: {Main Agent: {}}', {}, [{ field: 'agents.Main Agent', remedy: 'rename the agent' }]],
    ['agent __proto__', 'agents: {__proto__: {handler: x}}', {}, [{ field: 'agents.__proto__' }]],
    ['root __proto__', '__proto__: {drainMs: 1}', {}, [{ field: '__proto__' }]],
    [
      'level',
      'log: {level: loud}',
      {},
      [{ field: 'log.level', found: '"loud"', wanted: expect.stringContaining('silent') }],
    ],
    ['variable', '', { LANEKEEPER_HTTP_PORT: '70700' }, [{ field: 'LANEKEEPER_HTTP_PORT', found: 'the number 70700' }]],
    [
      'variable that is not a number',
      '',
      { LANEKEEPER_DRAIN_MS: '30s' },
      [{ field: 'LANEKEEPER_DRAIN_MS', found: '"30s"' }],
    ],
    [
      'unknown variable',
      '',
      { LANEKEEPER_HTTP_PROT: '1' },
      [{ field: 'LANEKEEPER_HTTP_PROT', remedy: 'did you mean LANEKEEPER_HTTP_PORT?' }],
    ],
    ['later variable', '', { LANEKEEPER_REDIS_URL: 'redis://x' }, [{ field: 'LANEKEEPER_REDIS_URL', ...later }]],
    ['a bad value that a good one overrides', 'drainMs: x', { LANEKEEPER_DRAIN_MS: '1' }, [{ field: 'drainMs' }]],
    [
      'host in the file',
      'http: {host: 0.0.0.0}',
      {},
      [{ field: 'http.host', found: 'the host 0.0.0.0', remedy: expect.stringContaining('LANEKEEPER_TOKENS_FILE') }],
    ],
    [
      'host in the environment',
      'http: {host: localhost}',
      { LANEKEEPER_HTTP_HOST: '::' },
      [{ field: 'LANEKEEPER_HTTP_HOST' }],
    ],
    ['loopback over a bad host', 'http: {host: 0.0.0.0}', { LANEKEEPER_HTTP_HOST: '::1' }, []],
    [
      'all at once, over file, environment and rules',
      'shards: 1\nnope: 1\nhttp: {host: 10.0.0.1}',
      { LANEKEEPER_LOG_LEVEL: 'x', LANEKEEPER_FOO: '1' },
      [
        { field: 'LANEKEEPER_FOO' },
        { field: 'shards' },
        { field: 'nope' },
        { field: 'LANEKEEPER_LOG_LEVEL' },
        { field: 'http.host' },
      ],
    ],
    [
      'a broken file hides no other problem',
      '[1]',
      { LANEKEEPER_LOG_LEVEL: 'x' },
      [{ found: 'an array of 1' }, { field: 'LANEKEEPER_LOG_LEVEL' }],
    ],
  ];
  it.each(cases)('%s', (_title, yaml, env, expected) => {
    const problems = problemsOf(() => load(yaml, env));
    expect(problems).toEqual(expected.map((problem) => expect.objectContaining(problem)));
    for (const problem of problems) expect(problem.remedy).toBeTruthy();
  });

  it.each<[string, string, Record<string, string>]>([
    ['a URL', 'nats: {url: "http://u:hunter@h"}', {}],
    ['a URL in a variable', '', { LANEKEEPER_NATS_URL: 'hunter' }],
    ['a group', 'nats: hunter', {}],
    ['an unknown key', 'passwort: hunter', {}],
    ['a later variable', '', { LANEKEEPER_REDIS_URL: 'redis://:hunter@h' }],
    ['a syntax error', 'password: "hunter\n', {}],
    ['an unset alias', 'password: *hunter', {}],
  ])('no secret is shown: %s', (_title, yaml, env) => {
    const problems = problemsOf(() => load(yaml, env));
    expect(problems).toHaveLength(1);
    expect(JSON.stringify(problems)).not.toContain('hunter');
  });

  it('the message lists each problem with field, found, wanted and remedy', () => {
    const options: LoadSettingsOptions = { cwd, env: { LANEKEEPER_HTTP_PORT: '-1', LANEKEEPER_FOO: '1' } };
    expect(() => loadSettings(options)).toThrow(
      /2 problems:\n {2}- LANEKEEPER_FOO: .*\n {2}- LANEKEEPER_HTTP_PORT: found "-1", wanted .*; /,
    );
  });
});
