import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { QUEUE_DEFAULTS, STRATEGY_WORDS, type InputProblem, type QueueSettings } from '#contracts';
import type { AgentSettings } from '../agents/agent-settings.js';
import { loadSettings } from '../loading/load-settings.js';
import { SettingsError } from '../settings-error.js';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'lk-queueing-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

function load(yaml: string): Readonly<Record<string, AgentSettings>> {
  writeFileSync(join(cwd, 'lanekeeper.yaml'), yaml);
  return loadSettings({ cwd, env: {} }).agents;
}

function problemsOf(yaml: string): readonly InputProblem[] {
  try {
    load(yaml);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

describe('how messages of main wait', () => {
  it.each<[string, string, Partial<QueueSettings>]>([
    ['by default', '', {}],
    ['as it says', 'agents: {main: {strategy: fifo}}', { strategy: 'fifo' }],
    ['as the defaults say', 'agents: {defaults: {maxQueueSize: 2}, main: {}}', { maxQueueSize: 2 }],
    [
      'as it says over the defaults, field by field',
      'agents: {defaults: {strategy: fifo, maxQueueSize: 2}, main: {strategy: queue}}',
      { maxQueueSize: 2 },
    ],
    ['not as other agents say', 'agents: {other: {handler: echo, strategy: drop}}', {}],
    ['followup', 'agents: {main: {strategy: followup}}', { strategy: 'fifo' }],
    ['cap', 'agents: {main: {cap: 20}}', { maxQueueSize: 20 }],
    ['unlimited', 'agents: {main: {maxQueueSize: unlimited}}', { maxQueueSize: Number.POSITIVE_INFINITY }],
    ['drop: old', 'agents: {main: {drop: old}}', { onQueueFull: 'drop-oldest' }],
    ['drop: new', 'agents: {main: {drop: new}}', { onQueueFull: 'drop-newest' }],
    ['drop: summarize', 'agents: {main: {drop: summarize}}', { onQueueFull: 'summarize' }],
    [
      'cap over maxQueueSize of the defaults',
      'agents: {defaults: {maxQueueSize: 5}, main: {cap: 6}}',
      { maxQueueSize: 6 },
    ],
    ['concurrency as a word', 'agents: {main: {concurrency: burst}}', { strategy: 'burst' }],
    [
      'concurrency as a group',
      'agents: {main: {concurrency: {strategy: collect, debounceMs: 10, onQueueFull: drop-newest}}}',
      { strategy: 'collect', debounceMs: 10, onQueueFull: 'drop-newest' },
    ],
    [
      'concurrency at the root',
      'concurrency: {strategy: fifo, maxQueueSize: 1}',
      { strategy: 'fifo', maxQueueSize: 1 },
    ],
    ['concurrency at the root below its own', 'concurrency: drop\nagents: {main: {strategy: queue}}', {}],
    ['onLockConflict: drop', 'onLockConflict: drop', { strategy: 'drop' }],
    ['onLockConflict: drop of its own', 'agents: {main: {onLockConflict: drop}}', { strategy: 'drop' }],
    ['the Chat SDK’s concurrent', 'concurrency: concurrent', { strategy: 'concurrent' }],
    [
      'the Chat SDK’s concurrent with a limit',
      'concurrency: {strategy: concurrent, maxConcurrent: 3}',
      { strategy: 'concurrent', maxConcurrent: 3 },
    ],
    [
      'concurrent without a limit over a limit of the defaults',
      'agents: {defaults: {strategy: concurrent, maxConcurrent: 3}, main: {maxConcurrent: unlimited}}',
      { strategy: 'concurrent' },
    ],
    ['how long a gap is waited for', 'agents: {main: {gapTimeoutMs: 500}}', { gapTimeoutMs: 500 }],
    [
      'what a turn takes',
      'agents: {defaults: {maxTurnBytes: 65536}, main: {maxTurnMessages: 20}}',
      { maxTurnMessages: 20, maxTurnBytes: 65_536 },
    ],
    [
      'one turn of a session in the words of the guide',
      'agent: {concurrency: {max_concurrent_per_session: 1}}',
      { maxConcurrent: 1 },
    ],
    [
      'several turns of a session in the words of the guide',
      'agent: {concurrency: {max_concurrent_per_session: 3}}',
      { strategy: 'concurrent', maxConcurrent: 3 },
    ],
    [
      'the limit of the guide for a strategy of its own',
      'agent: {concurrency: {max_concurrent_per_session: 1}}\nagents: {main: {strategy: concurrent}}',
      { strategy: 'concurrent', maxConcurrent: 1 },
    ],
    [
      'words of a busy message stay as they are',
      'agents: {main: {busyMessage: unlimited, queueTimeoutMs: 1}}',
      { busyMessage: 'unlimited', queueTimeoutMs: 1 },
    ],
    ['in our own words', 'agents: {main: {overflowAction: silent}}', { overflowAction: 'silent' }],
  ])('%s', (_title, yaml, expected) => {
    expect(load(yaml)['main']?.queueing).toEqual({ ...QUEUE_DEFAULTS, ...expected });
  });

  it('the settings of an agent contain only resolved ones', () => {
    const { main } = load('agents: {main: {cap: 1, drop: new, concurrency: fifo, lockScope: thread}}');
    expect(Object.keys(main ?? {})).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(cap|drop|concurrency)$/)]),
    );
  });

  it('no other spelling is left next to the agents', () => {
    writeFileSync(join(cwd, 'lanekeeper.yaml'), 'concurrency: fifo\nlockScope: user\nchannels: {slack: {cap: 1}}\n');
    const settings = loadSettings({ cwd, env: {} });
    for (const key of ['channels', 'concurrency', 'lockScope', 'sessions', 'agent'])
      expect(settings).not.toHaveProperty(key);
  });
});

describe('channels', () => {
  it('override the settings of their agent', () => {
    const { main, echo } = load(
      'agents: {main: {maxQueueSize: 3, lockScope: channel}}\nchannels: {slack: {strategy: fifo, lockScope: thread}, x: {cap: 1}}',
    );
    expect(main).toMatchObject({ queueing: { strategy: 'queue', maxQueueSize: 3 }, lockScope: 'channel' });
    expect({ ...main?.channels }).toEqual({
      slack: { queueing: { ...QUEUE_DEFAULTS, strategy: 'fifo', maxQueueSize: 3 }, lockScope: 'thread' },
      x: { queueing: { ...QUEUE_DEFAULTS, maxQueueSize: 1 }, lockScope: 'channel' },
    });
    expect(echo?.channels['x']).toEqual({ queueing: { ...QUEUE_DEFAULTS, maxQueueSize: 1 } });
  });

  it('that are not configured are not found', () => {
    expect(load('channels: {slack:}')['main']?.channels['constructor']).toBeUndefined();
  });

  it('may be called like a member of Object.prototype, and so may an agent', () => {
    const agents = load('channels: {constructor: {cap: 1}}\nagents: {constructor: {handler: echo, strategy: fifo}}');
    expect(agents['constructor']?.channels['constructor']?.queueing).toMatchObject({
      strategy: 'fifo',
      maxQueueSize: 1,
    });
  });
});

it('channels may be concurrent, each with a limit of its own', () => {
  const { main } = load('channels: {slack: {concurrency: {strategy: concurrent, maxConcurrent: 2, gapTimeoutMs: 9}}}');
  expect(main?.queueing).toEqual(QUEUE_DEFAULTS);
  const slack = { strategy: 'concurrent', maxConcurrent: 2, gapTimeoutMs: 9 };
  expect(main?.channels['slack']?.queueing).toEqual({ ...QUEUE_DEFAULTS, ...slack });
});

describe('lockScope', () => {
  it.each<[string, string | undefined]>([
    ['', undefined],
    ['lockScope: channel', 'channel'],
    ['lockScope: channel\nagents: {main: {lockScope: thread}}', 'thread'],
    ['agents: {defaults: {lockScope: user}}', 'user'],
    ['sessions: {isolation: strict, storage: per_session, id_source: user_id}', 'user'],
  ])('of %j is %s', (yaml, scope) => {
    expect(load(yaml)['main']?.lockScope).toBe(scope);
  });
});

describe('a bad field', () => {
  const later = { wanted: 'none: not in this version yet' };
  it.each<[string, Partial<InputProblem>]>([
    [
      'agents: {main: {strategy: steer}}',
      {
        field: 'agents.main.strategy',
        found: '"steer"',
        wanted: `one of ${STRATEGY_WORDS.join(', ')}: steer comes in a later version`,
      },
    ],
    [
      'agents: {main: {strategy: interrupt}}',
      { wanted: expect.stringContaining('interrupt comes in a later version') },
    ],
    ['agents: {main: {strategy: latest}}', { wanted: expect.stringMatching(/followup$/) }],
    ['concurrency: steer', { field: 'concurrency', wanted: expect.stringContaining('steer comes in a later version') }],
    [
      'concurrency: {strategy: interrupt}',
      { field: 'concurrency.strategy', wanted: expect.stringContaining('later version') },
    ],
    ['concurrency: 3', { field: 'concurrency', found: 'the number 3' }],
    [
      'concurrency: {maxConcurrent: 3}',
      {
        field: 'concurrency.maxConcurrent',
        found: 'a limit of turns of one session at once with strategy queue, which runs one after another',
        remedy: expect.stringMatching(/^leave it out; .*worker\.capacity.*gives up the order of a session/),
      },
    ],
    [
      'concurrency: {strategy: concurrent, maxConcurrent: 257}',
      { field: 'concurrency.maxConcurrent', wanted: expect.stringContaining('1 to 256, or "unlimited"') },
    ],
    ['concurrency: {strategy: concurrent, maxConcurrent: 0}', { found: 'the number 0' }],
    ['agents: {main: {strategy: concurrent, maxConcurrent: many}}', { found: '"many"' }],
    ['agents: {main: {sessionConcurrency: 3}}', { field: 'agents.main.sessionConcurrency', ...later }],
    [
      'agents: {main: {concurrency: {maxQueueSizes: 3}}}',
      { field: 'agents.main.concurrency.maxQueueSizes', remedy: 'did you mean agents.main.concurrency.maxQueueSize?' },
    ],
    [
      'channels: {slack: {concurrency: {strategy: fifo, debounceMs: "1s"}}}',
      { field: 'channels.slack.concurrency.debounceMs', found: '"1s"' },
    ],
    ['agents: {main: {maxTurnMessages: 501}}', { field: 'agents.main.maxTurnMessages', found: 'the number 501' }],
    ['agents: {main: {maxTurnBytes: 0}}', { field: 'agents.main.maxTurnBytes', found: 'the number 0' }],
    ['agents: {main: {gapTimeoutMs: 0}}', { field: 'agents.main.gapTimeoutMs', found: 'the number 0' }],
    ['agents: {main: {gapTimeoutMs: "2s"}}', { field: 'agents.main.gapTimeoutMs', found: '"2s"' }],
    ['channels: {slack: {maxConcurrent: 1.5}}', { field: 'channels.slack.maxConcurrent' }],
    ['channels: {slack: {handler: echo}}', { field: 'channels.slack.handler', found: 'an unknown setting' }],
    [
      'channels: {slack: {stratgy: fifo}}',
      { field: 'channels.slack.stratgy', remedy: 'did you mean channels.slack.strategy?' },
    ],
    ['channels: {"slack:C1": {strategy: fifo}}', { field: 'channels.slack:C1', remedy: 'rename the platform' }],
    ['channels: {__proto__: {strategy: fifo}}', { field: 'channels.__proto__', remedy: 'rename the platform' }],
    [
      'channels: {defaults: {strategy: fifo}}',
      { field: 'channels.defaults', remedy: expect.stringContaining('agents.defaults') },
    ],
    ['strategy: fifo', { field: 'strategy', remedy: 'did you mean agents.defaults.strategy?' }],
    ['agent: {lockScope: user}', { field: 'agent.lockScope', remedy: 'did you mean agents.defaults.lockScope?' }],
    ['agents: {main: {maxQueueSize: 0}}', { found: 'the number 0', wanted: expect.stringContaining('"unlimited"') }],
    ['agents: {main: {maxQueueSize: 100001}}', { wanted: expect.stringContaining('100000') }],
    [
      'agents: {main: {cap: none}}',
      { field: 'agents.main.cap', found: '"none"', wanted: expect.stringContaining('"unlimited"') },
    ],
    ['agents: {main: {drop: oldest}}', { field: 'agents.main.drop', wanted: 'one of old, new, summarize' }],
    [
      'agents: {main: {onQueueFull: old}}',
      { field: 'agents.main.onQueueFull', wanted: expect.stringContaining('drop-oldest') },
    ],
    ['agents: {main: {queueTimeoutMs: 0}}', { field: 'agents.main.queueTimeoutMs', found: 'the number 0' }],
    ['agents: {main: {queueEntryTtlMs: 0}}', { field: 'agents.main.queueEntryTtlMs' }],
    ['agents: {main: {strategy: burst, debounceMs: 0}}', { field: 'agents.main.debounceMs' }],
    [
      'agents: {main: {overflowAction: shout}}',
      { field: 'agents.main.overflowAction', wanted: 'one of busy-message, silent' },
    ],
    [
      'agents: {main: {busyMessage: ""}}',
      { field: 'agents.main.busyMessage', wanted: expect.stringContaining('1 to 4000') },
    ],
    ['agents: {main: {busyMessage: "  "}}', { field: 'agents.main.busyMessage' }],
    [
      `agents: {main: {busyMessage: ${'x'.repeat(4001)}}}`,
      { field: 'agents.main.busyMessage', found: `"${'x'.repeat(40)}…", a text of 4001 bytes` },
    ],
    ['lockScope: topic', { field: 'lockScope', wanted: 'one of thread, channel, user' }],
    ['sessions: {isolation: shared}', { field: 'sessions.isolation', wanted: expect.stringContaining('strict') }],
    [
      'agent: {concurrency: {max_concurrent_per_session: 0}}',
      { field: 'agent.concurrency.max_concurrent_per_session', wanted: 'a whole number from 1 to 256' },
    ],
    ['agent: {concurrency: {queue_timeout: 2}}', { remedy: 'did you mean agent.concurrency.queue_timeout_ms?' }],
  ])('%s', (yaml, expected) => {
    const problems = problemsOf(yaml);
    expect(problems).toEqual([expect.objectContaining(expected)]);
    expect(problems[0]?.remedy).toBeTruthy();
  });
});
