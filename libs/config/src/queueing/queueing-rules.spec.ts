import { describe, expect, it } from 'vitest';
import { QUEUE_DEFAULTS, STRATEGIES, longestWindowMs } from '#contracts';
import { checkQueueing } from './queueing-rules.js';
import { settingsSchema, type SettingsInput } from '../settings.js';

const problemsOf = (input: SettingsInput) => checkQueueing(settingsSchema.parse(input));

/** Paths of the problems, with what was found. */
function found(input: SettingsInput): Record<string, string> {
  const problems = problemsOf(input);
  for (const { wanted, remedy } of problems) expect(wanted && remedy).toBeTruthy();
  return Object.fromEntries(problems.map((problem) => [problem.path.join('.'), problem.found]));
}

describe('the defaults', () => {
  it.each(STRATEGIES)('keep every rule with strategy %s', (strategy) => {
    expect(found({ agents: { defaults: { strategy } } })).toEqual({});
    expect(longestWindowMs({ ...QUEUE_DEFAULTS, strategy })).toBeLessThan(QUEUE_DEFAULTS.queueEntryTtlMs);
  });
});

describe('maxDebounceMs is at least debounceMs', () => {
  it.each<[string, SettingsInput, string[]]>([
    ['equal', { agents: { main: { strategy: 'debounce', debounceMs: 5, maxDebounceMs: 5 } } }, []],
    [
      'less, in one place',
      { agents: { main: { strategy: 'debounce', debounceMs: 6, maxDebounceMs: 5 } } },
      ['agents.main.maxDebounceMs'],
    ],
    ['the default is less', { concurrency: { strategy: 'collect', debounceMs: 10_001 } }, ['concurrency.debounceMs']],
    ['a burst has no cap', { agents: { main: { strategy: 'burst', debounceMs: 10_001 } } }, []],
    [
      'less together with the defaults of agents',
      { agents: { defaults: { strategy: 'debounce', maxDebounceMs: 3_000 }, main: { debounceMs: 4_000 } } },
      ['agents.main.debounceMs'],
    ],
    [
      'less together with a channel',
      {
        agents: { main: { strategy: 'debounce', debounceMs: 4_000 } },
        channels: { slack: { maxDebounceMs: 3_000 } },
      },
      ['channels.slack.maxDebounceMs'],
    ],
    [
      'by the strategy of a channel alone',
      { agents: { defaults: { strategy: 'burst', debounceMs: 11_000 } }, channels: { slack: { strategy: 'collect' } } },
      ['agents.defaults.debounceMs'],
    ],
  ])('%s', (_title, input, paths) => {
    expect(Object.keys(found(input))).toEqual(paths);
  });
});

describe('a message does not expire in its own window', () => {
  it.each<[string, SettingsInput, string[]]>([
    ['longer than the cap', { agents: { main: { strategy: 'debounce', queueEntryTtlMs: 10_001 } } }, []],
    [
      'as long',
      { agents: { main: { strategy: 'debounce', queueEntryTtlMs: 10_000 } } },
      ['agents.main.queueEntryTtlMs'],
    ],
    [
      'a timeout as long',
      { agents: { main: { strategy: 'collect', queueTimeoutMs: 10_000 } } },
      ['agents.main.queueTimeoutMs'],
    ],
    ['a burst as long', { agents: { main: { strategy: 'burst', debounceMs: 90_000 } } }, ['agents.main.debounceMs']],
    ['a burst is not capped', { agents: { main: { strategy: 'burst', queueEntryTtlMs: 2_000 } } }, []],
    ['no window', { agents: { main: { queueEntryTtlMs: 1, strategy: 'fifo' } } }, []],
    [
      'by a strategy that stands nearer than both',
      { agents: { defaults: { queueEntryTtlMs: 5_000 }, main: { strategy: 'debounce' } } },
      ['agents.defaults.queueEntryTtlMs'],
    ],
    [
      'by a channel',
      {
        agents: { main: { queueTimeoutMs: 30_000 } },
        channels: { sms: { strategy: 'collect', maxDebounceMs: 40_000 } },
      },
      ['channels.sms.maxDebounceMs'],
    ],
  ])('%s', (_title, input, paths) => {
    expect(Object.keys(found(input))).toEqual(paths);
  });

  it('names the agent, and reports the problem once for all agents', () => {
    const problems = problemsOf({
      agents: { defaults: { strategy: 'debounce', queueEntryTtlMs: 9_000 }, other: {} },
      channels: { slack: { maxQueueSize: 4 } },
    });
    expect(problems).toEqual([
      {
        path: ['agents', 'defaults', 'queueEntryTtlMs'],
        found: 'queueEntryTtlMs 9000 with maxDebounceMs 10000 for agent main',
        wanted:
          'a queueEntryTtlMs above maxDebounceMs: else messages of debounce may expire while they wait for its window',
        remedy: 'set queueEntryTtlMs to 10001 or more, or maxDebounceMs below 9000',
      },
    ]);
  });
});

describe('two words for one setting', () => {
  it.each<[string, SettingsInput, Record<string, string>]>([
    [
      'cap',
      { agents: { main: { maxQueueSize: 5, cap: 5 } } },
      { 'agents.main.cap': 'agents.main.maxQueueSize beside it' },
    ],
    [
      'drop',
      { channels: { slack: { onQueueFull: 'drop-newest', drop: 'new' } } },
      { 'channels.slack.drop': 'channels.slack.onQueueFull beside it' },
    ],
    [
      'concurrency as a word',
      { agents: { main: { strategy: 'fifo', concurrency: 'fifo' } } },
      { 'agents.main.concurrency': 'agents.main.strategy beside it' },
    ],
    [
      'concurrency as a group',
      { agents: { main: { maxQueueSize: 5, concurrency: { maxQueueSize: 6, onQueueFull: 'summarize' } } } },
      { 'agents.main.concurrency.maxQueueSize': 'agents.main.maxQueueSize beside it' },
    ],
    [
      'an alias of what stands in concurrency',
      { agents: { main: { cap: 5, concurrency: { maxQueueSize: 5 } } } },
      { 'agents.main.concurrency.maxQueueSize': 'agents.main.cap beside it' },
    ],
    ['onLockConflict', { concurrency: 'queue', onLockConflict: 'drop' }, { onLockConflict: 'concurrency beside it' }],
    [
      'the root and the defaults of agents',
      { concurrency: 'fifo', agents: { defaults: { strategy: 'queue' } } },
      { 'agents.defaults.strategy': 'concurrency beside it' },
    ],
    [
      'the guide and the Chat SDK',
      { concurrency: { queueTimeoutMs: 5 }, agent: { concurrency: { queue_timeout_ms: 5 } } },
      { 'agent.concurrency.queue_timeout_ms': 'concurrency.queueTimeoutMs beside it' },
    ],
    [
      'more than one turn of the guide and a strategy',
      { concurrency: 'queue', agent: { concurrency: { max_concurrent_per_session: 2 } } },
      { 'agent.concurrency.max_concurrent_per_session': 'concurrency beside it' },
    ],
    [
      'the limit of the guide and of the Chat SDK',
      {
        concurrency: { strategy: 'concurrent', maxConcurrent: 2 },
        agent: { concurrency: { max_concurrent_per_session: 1 } },
      },
      { 'agent.concurrency.max_concurrent_per_session': 'concurrency.maxConcurrent beside it' },
    ],
    [
      'the guide and lockScope',
      { lockScope: 'thread', sessions: { id_source: 'user_id' } },
      { 'sessions.id_source': 'lockScope beside it' },
    ],
    [
      'in two places is not a contradiction',
      { concurrency: 'fifo', agents: { main: { strategy: 'queue', cap: 4 } } },
      {},
    ],
  ])('%s', (_title, input, expected) => {
    expect(found(input)).toEqual(expected);
  });
});

describe('a setting without effect', () => {
  const agent = (main: NonNullable<SettingsInput['agents']>[string]): SettingsInput => ({ agents: { main } });
  const guide = (turns: number): SettingsInput => ({ agent: { concurrency: { max_concurrent_per_session: turns } } });
  it.each<[string, SettingsInput, string[]]>([
    ['a window of queue', agent({ strategy: 'queue', debounceMs: 5 }), ['agents.main.debounceMs']],
    ['a window of fifo', agent({ strategy: 'fifo', debounceMs: 5 }), ['agents.main.debounceMs']],
    ['a window of drop', agent({ strategy: 'drop', debounceMs: 5 }), ['agents.main.debounceMs']],
    ['a window of the default strategy', agent({ debounceMs: 5 }), ['agents.main.debounceMs']],
    ['a cap of fifo', agent({ strategy: 'fifo', maxDebounceMs: 50_000 }), ['agents.main.maxDebounceMs']],
    ['a cap of burst', agent({ strategy: 'burst', maxDebounceMs: 50_000 }), ['agents.main.maxDebounceMs']],
    ['a queue of drop', agent({ strategy: 'drop', maxQueueSize: 5 }), ['agents.main.maxQueueSize']],
    ['a full queue of drop', agent({ strategy: 'drop', drop: 'new' }), ['agents.main.drop']],
    ['a waiting time of drop', agent({ strategy: 'drop', queueEntryTtlMs: 5 }), ['agents.main.queueEntryTtlMs']],
    ['a timeout of drop may wait for a slot', agent({ strategy: 'drop', queueTimeoutMs: 5 }), []],
    ['a full queue without end', agent({ cap: 'unlimited', onQueueFull: 'drop-newest' }), ['agents.main.onQueueFull']],
    ['a limit after a shorter one', agent({ queueEntryTtlMs: 9, queueTimeoutMs: 9 }), ['agents.main.queueEntryTtlMs']],
    ['the default limit after a shorter one', agent({ queueTimeoutMs: 9 }), []],
    ['a text that is not said', agent({ overflowAction: 'silent', busyMessage: 'no' }), ['agents.main.busyMessage']],
    ['a window of concurrent', agent({ strategy: 'concurrent', debounceMs: 5 }), ['agents.main.debounceMs']],
    ['a queue of concurrent holds what is above its limit', agent({ strategy: 'concurrent', maxQueueSize: 5 }), []],
    ['a limit of turns at once of fifo', agent({ strategy: 'fifo', maxConcurrent: 5 }), ['agents.main.maxConcurrent']],
    ['no limit of turns at once of queue', agent({ maxConcurrent: 'unlimited' }), ['agents.main.maxConcurrent']],
    ['a limit of turns at once of concurrent', agent({ strategy: 'concurrent', maxConcurrent: 1 }), []],
    [
      'a limit of turns at once has an effect when a channel uses it',
      { agents: { defaults: { maxConcurrent: 5 } }, channels: { slack: { strategy: 'concurrent' } } },
      [],
    ],
    ['the guide’s one turn at once, which is always so', guide(1), []],
    [
      'more turns of the guide, which every agent overrides',
      { ...guide(2), agents: { main: { strategy: 'queue' }, echo: { strategy: 'fifo' } } },
      ['agent.concurrency.max_concurrent_per_session'],
    ],
    ['a cap on turns of one message', agent({ strategy: 'fifo', maxTurnBytes: 5 }), ['agents.main.maxTurnBytes']],
    [
      'a cap on turns of one message, but for a summary',
      agent({ strategy: 'fifo', maxTurnMessages: 5, onQueueFull: 'summarize' }),
      [],
    ],
    ['a wait for a gap with any strategy', agent({ strategy: 'drop', gapTimeoutMs: 5 }), []],
    [
      'a wait for a gap after a shorter one',
      agent({ gapTimeoutMs: 9, queueTimeoutMs: 9 }),
      ['agents.main.gapTimeoutMs'],
    ],
    ['a wait for a gap before a longer one', agent({ gapTimeoutMs: 8, queueTimeoutMs: 9 }), []],
    ['inside concurrency', { concurrency: { debounceMs: 5 } }, ['concurrency.debounceMs']],
    [
      'with what its agent inherits',
      { agents: { defaults: { strategy: 'drop' }, main: { maxQueueSize: 5 } } },
      ['agents.main.maxQueueSize'],
    ],
    [
      'on a channel, with what all agents have',
      { concurrency: 'fifo', channels: { slack: { debounceMs: 5 } } },
      ['channels.slack.debounceMs'],
    ],
    [
      'on a channel has an effect when one agent uses it',
      { agents: { main: { strategy: 'burst' } }, channels: { slack: { debounceMs: 5 } } },
      [],
    ],
    [
      'for all has an effect when one agent uses it',
      { agents: { defaults: { debounceMs: 5 }, main: { strategy: 'burst' } } },
      [],
    ],
    [
      'for an agent has an effect when a channel uses it',
      { agents: { main: { debounceMs: 5 } }, channels: { slack: { strategy: 'burst' } } },
      [],
    ],
    [
      'an agent may leave what it inherits unused',
      { agents: { defaults: { strategy: 'burst', debounceMs: 5 }, main: { strategy: 'fifo' } } },
      [],
    ],
    [
      'beside its own contradiction, although another agent could use it',
      { agents: { defaults: { strategy: 'fifo', debounceMs: 5 }, main: { strategy: 'burst' } } },
      ['agents.defaults.debounceMs'],
    ],
    [
      'an agent that is called like a member of Object.prototype',
      { agents: { constructor: { strategy: 'drop', cap: 1 } as never } },
      ['agents.constructor.cap'],
    ],
  ])('%s', (_title, input, paths) => {
    expect(Object.keys(found(input))).toEqual(paths);
  });
});

describe('words that are refused', () => {
  it.each<[string, SettingsInput, Record<string, string>]>([
    ['force', { onLockConflict: 'force' }, { onLockConflict: expect.stringContaining('two turns of a session') }],
    [
      'force of an agent',
      { agents: { main: { onLockConflict: 'force', strategy: 'fifo' } } },
      { 'agents.main.onLockConflict': expect.stringContaining('two turns of a session') },
    ],
    [
      'defaults of channels',
      { channels: { defaults: {} } },
      { 'channels.defaults': expect.stringContaining('defaults') },
    ],
  ])('%s', (_title, input, expected) => {
    expect(found(input)).toEqual(expected);
  });
});
