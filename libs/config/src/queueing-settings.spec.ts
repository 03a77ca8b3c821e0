import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { QUEUE_DEFAULTS, type InputProblem, type QueueSettings } from '#contracts';
import type { AgentSettings } from './agent-settings.js';
import { loadSettings } from './load-settings.js';
import { SettingsError } from './settings-error.js';

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
    ['not as others say', 'agents: {other: {handler: echo, strategy: drop}}', {}],
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
    [
      'words of a busy message stay as they are',
      'agents: {main: {busyMessage: unlimited, queueTimeoutMs: 1}}',
      { busyMessage: 'unlimited', queueTimeoutMs: 1 },
    ],
    ['said by its own words', 'agents: {main: {overflowAction: silent}}', { overflowAction: 'silent' }],
  ])('%s', (_title, yaml, expected) => {
    expect(load(yaml)['main']?.queueing).toEqual({ ...QUEUE_DEFAULTS, ...expected });
  });

  it('the settings of an agent hold nothing but settled ones', () => {
    const { main } = load('agents: {main: {cap: 1, drop: new, concurrency: fifo, lockScope: thread}}');
    expect(Object.keys(main ?? {})).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(cap|drop|concurrency)$/)]),
    );
  });

  it('no spelling is left beside the agents', () => {
    writeFileSync(join(cwd, 'lanekeeper.yaml'), 'concurrency: fifo\nlockScope: user\nchannels: {slack: {cap: 1}}\n');
    const settings = loadSettings({ cwd, env: {} });
    for (const key of ['channels', 'concurrency', 'lockScope', 'sessions', 'agent'])
      expect(settings).not.toHaveProperty(key);
  });
});

describe('channels', () => {
  it('have what they say over what their agent says', () => {
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

  it('that nobody configured are not found', () => {
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
        wanted: expect.stringMatching(
          /^one of queue, fifo, collect, debounce, burst, drop, followup: steer comes in a later version$/,
        ),
      },
    ],
    [
      'agents: {main: {strategy: interrupt}}',
      { wanted: expect.stringContaining('interrupt comes in a later version') },
    ],
    ['agents: {main: {strategy: latest}}', { wanted: expect.stringMatching(/followup$/) }],
    [
      'concurrency: concurrent',
      { field: 'concurrency', wanted: expect.stringContaining('concurrent comes in a later version') },
    ],
    [
      'concurrency: {strategy: concurrent}',
      { field: 'concurrency.strategy', wanted: expect.stringContaining('later version') },
    ],
    ['concurrency: 3', { field: 'concurrency', found: 'the number 3' }],
    ['concurrency: {maxConcurrent: 3}', { field: 'concurrency.maxConcurrent', ...later }],
    [
      'agents: {main: {concurrency: {maxQueueSizes: 3}}}',
      { field: 'agents.main.concurrency.maxQueueSizes', remedy: 'did you mean agents.main.concurrency.maxQueueSize?' },
    ],
    [
      'channels: {slack: {concurrency: {strategy: fifo, debounceMs: "1s"}}}',
      { field: 'channels.slack.concurrency.debounceMs', found: 'a text of 2 bytes' },
    ],
    ['agents: {main: {gapTimeoutMs: 3}}', { field: 'agents.main.gapTimeoutMs', ...later }],
    ['channels: {slack: {maxConcurrent: 3}}', { field: 'channels.slack.maxConcurrent', ...later }],
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
      { field: 'agents.main.busyMessage', found: 'a text of 4001 bytes' },
    ],
    ['lockScope: topic', { field: 'lockScope', wanted: 'one of thread, channel, user' }],
    ['sessions: {isolation: shared}', { field: 'sessions.isolation', wanted: expect.stringContaining('strict') }],
    [
      'agent: {concurrency: {max_concurrent_per_session: 2}}',
      { field: 'agent.concurrency.max_concurrent_per_session', wanted: expect.stringContaining('never overlap') },
    ],
    ['agent: {concurrency: {queue_timeout: 2}}', { remedy: 'did you mean agent.concurrency.queue_timeout_ms?' }],
  ])('%s', (yaml, expected) => {
    const problems = problemsOf(yaml);
    expect(problems).toEqual([expect.objectContaining(expected)]);
    expect(problems[0]?.remedy).toBeTruthy();
  });
});
