import { describe, expect, it } from 'vitest';
import {
  DECISIONS,
  FULL_QUEUE_POLICIES,
  LOCK_SCOPES,
  OVERFLOW_ACTIONS,
  QUEUE_DEFAULTS,
  STRATEGY_WORDS,
} from '#contracts';
import { TURN_DEFAULTS } from '../agents/agent-settings.js';
import { loadSettings } from '../loading/load-settings.js';
import { MIGRATING_PAGE, readRows, wordsIn, type PageRow } from './migrating-page.fixture.js';
import { SettingsError } from '../settings-error.js';
import type { Settings } from '../settled-settings.js';

/**
 * Every word of docs/migrating.md: what the page calls accepted must load and have the described meaning, and what it calls
 * refused must be refused with a remedy. A row or a word without a proof here fails, and so does a proof without its row.
 */

type Written = Record<string, unknown>;
const load = (overrides: Written): Settings => loadSettings({ cwd: '/', env: {}, overrides: overrides as object });

/** What a proof tried, as one text: it must contain the words of its row. */
type Proof = () => Written;

/** For agent `main`, or for its platform `telegram`, the settings mean what `expected` says. */
function means(written: Written, expected: Written, platform?: string): Proof {
  return () => {
    const { main } = load(written).agents;
    const { lockScope, queueing, turnTimeoutMs } = {
      ...main,
      ...(platform === undefined ? {} : main?.channels[platform]),
    };
    expect({ ...queueing, lockScope, turnTimeoutMs }).toMatchObject(expected);
    return { written, expected };
  };
}

/** The settings are refused under this name, with a remedy. */
function refused(written: Written, field: string, says = /./): Proof {
  return () => {
    let problems: SettingsError['problems'] = [];
    try {
      load(written);
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      ({ problems } = error);
    }
    expect(problems).toMatchObject([{ field, remedy: expect.stringMatching(/\S/) }]);
    expect(`${problems[0]?.found}; ${problems[0]?.wanted}; ${problems[0]?.remedy}`).toMatch(says);
    return { written, field, says: String(says) };
  };
}

/** Words that are not settings, and the specs that check them. */
const elsewhere =
  (words: string): Proof =>
  () => ({ words });

const LATER = /later version/;
const forAll = (own: Written): Written => ({ agents: { defaults: own } });

const PROOFS: Record<string, Record<string, Proof[]>> = {
  'Chat SDK': {
    'no `concurrency` (= `drop`)': [means({}, { strategy: 'queue' }), elsewhere('concurrency: drop')],
    "`concurrency: 'queue'`": [
      means({ concurrency: 'queue' }, { strategy: 'queue' }),
      means({ agents: { main: { concurrency: 'queue' } } }, { strategy: 'queue' }),
      means({ channels: { telegram: { concurrency: 'queue' } } }, { strategy: 'queue' }, 'telegram'),
      means(forAll({ strategy: 'queue' }), { strategy: 'queue' }),
    ],
    "`concurrency: 'debounce'`": [means({ concurrency: 'debounce' }, { strategy: 'debounce', maxDebounceMs: 10_000 })],
    "`concurrency: 'burst'`": [means({ concurrency: 'burst' }, { strategy: 'burst' })],
    "`concurrency: 'drop'`": [means({ concurrency: 'drop' }, { strategy: 'drop', overflowAction: 'busy-message' })],
    "`concurrency: 'concurrent'`, `maxConcurrent`": [
      means({ concurrency: 'concurrent' }, { strategy: 'concurrent', maxConcurrent: Number.POSITIVE_INFINITY }),
      means(
        { concurrency: { strategy: 'concurrent', maxConcurrent: 5 } },
        { strategy: 'concurrent', maxConcurrent: 5 },
      ),
      means({ concurrency: { strategy: 'concurrent', maxConcurrent: 'unlimited' } }, { strategy: 'concurrent' }),
      refused({ concurrency: { strategy: 'queue', maxConcurrent: 5 } }, 'concurrency.maxConcurrent'),
      refused({ concurrency: { strategy: 'concurrent', maxConcurrent: 257 } }, 'concurrency.maxConcurrent', /256/),
    ],
    'no numbers': [
      means(forAll({ gapTimeoutMs: 500 }), { gapTimeoutMs: 500 }),
      refused(forAll({ gapTimeoutMs: 500, queueTimeoutMs: 400 }), 'agents.defaults.gapTimeoutMs', /queueTimeoutMs/),
      elsewhere('sequence: numbered-messages-keep-their-order.spec.ts'),
    ],
    '`maxQueueSize`, `onQueueFull`': [
      means(
        { concurrency: { maxQueueSize: 3, onQueueFull: 'summarize' } },
        { maxQueueSize: 3, onQueueFull: 'summarize' },
      ),
      means(forAll({ maxQueueSize: 'unlimited' }), { maxQueueSize: Number.POSITIVE_INFINITY }),
      refused(forAll({ strategy: 'drop', maxQueueSize: 3 }), 'agents.defaults.maxQueueSize'),
      refused(forAll({ strategy: 'drop', onQueueFull: 'summarize' }), 'agents.defaults.onQueueFull'),
    ],
    '`queueEntryTtlMs`': [means({ concurrency: { queueEntryTtlMs: 5 } }, { queueEntryTtlMs: 5 })],
    '`debounceMs`': [
      means({ concurrency: { strategy: 'burst', debounceMs: 700 } }, { debounceMs: 700 }),
      ...['queue', 'fifo', 'drop'].map((strategy) =>
        refused({ concurrency: { strategy, debounceMs: 700 } }, 'concurrency.debounceMs'),
      ),
      refused(forAll({ strategy: 'debounce', debounceMs: 10_001 }), 'agents.defaults.debounceMs', /maxDebounceMs/),
    ],
    '`lockScope`': (['thread', 'channel', 'user'] as const).map((lockScope) => means({ lockScope }, { lockScope })),
    '`lockScope: async (place) => …`': [
      elsewhere('lockScope: async (place) => … LOCK_SCOPE_RESOLVER: lock-scope.spec.ts'),
    ],
    "`onLockConflict: 'drop'`": [means({ onLockConflict: 'drop' }, { strategy: 'drop' })],
    "`onLockConflict: 'force'`": [refused({ onLockConflict: 'force' }, 'onLockConflict', /strategy: queue/)],
    '`maxLockLifetimeMs`': [
      refused({ maxLockLifetimeMs: 600_000 }, 'maxLockLifetimeMs', /agents\.defaults\.turnTimeoutMs/),
    ],
    '`dedupeTtlMs`': [
      refused({ dedupeTtlMs: 600_000 }, 'dedupeTtlMs', /dedup\.windowMs/),
      elsewhere(`dedup.windowMs ${load({}).dedup.windowMs}`),
    ],
  },
  OpenClaw: {
    '`messages.queue.mode`': [
      means({ messages: { queue: { mode: 'collect' } } }, { strategy: 'collect' }),
      means({ messages: { queue: {} } }, { strategy: 'queue' }),
      refused(
        { messages: { queue: { mode: 'collect' } }, concurrency: 'burst' },
        'messages.queue.mode',
        /strategy.*leave out messages\.queue\.mode or concurrency/,
      ),
      elsewhere('messages.queue.mode'),
    ],
    '`messages.queue.byChannel.<channel>`': [
      means(
        { messages: { queue: { mode: 'followup', byChannel: { telegram: 'collect' } } } },
        { strategy: 'collect' },
        'telegram',
      ),
      means({ messages: { queue: { mode: 'followup', byChannel: { telegram: 'collect' } } } }, { strategy: 'fifo' }),
      means(
        { channels: { telegram: { strategy: 'fifo', maxQueueSize: 3 } } },
        { strategy: 'fifo', maxQueueSize: 3 },
        'telegram',
      ),
      refused(
        { messages: { queue: { byChannel: { telegram: 'collect' } } }, channels: { telegram: { strategy: 'fifo' } } },
        'messages.queue.byChannel.telegram',
        /channels\.telegram\.strategy/,
      ),
      elsewhere('messages.queue.byChannel.<channel> channels.<platform>.strategy'),
    ],
    '`followup`; `steer-backlog`, `steer+backlog`': [
      ...['followup', 'steer-backlog', 'steer+backlog'].map((mode) =>
        means({ messages: { queue: { mode } } }, { strategy: 'fifo' }),
      ),
      means(forAll({ strategy: 'followup' }), { strategy: 'fifo' }),
      refused(forAll({ strategy: 'steer-backlog' }), 'agents.defaults.strategy', /followup/),
    ],
    '`collect`': [
      means(forAll({ strategy: 'collect' }), { strategy: 'collect', debounceMs: 1_500, maxDebounceMs: 10_000 }),
    ],
    '`steer`, `interrupt`; mode `queue`': [
      ...['steer', 'interrupt'].map((mode) => refused({ messages: { queue: { mode } } }, 'messages.queue.mode', LATER)),
      ...['steer', 'interrupt'].map((strategy) => refused(forAll({ strategy }), 'agents.defaults.strategy', LATER)),
      refused({ messages: { queue: { mode: 'queue' } } }, 'messages.queue.mode', /old name of steer.*strategy: queue/),
      refused(
        { messages: { queue: { byChannel: { telegram: 'steer' } } } },
        'messages.queue.byChannel.telegram',
        LATER,
      ),
    ],
    '`debounceMs` (500), also in `messages.queue`': [
      means(forAll({ strategy: 'collect', debounceMs: 700 }), { debounceMs: 700 }),
      means({ messages: { queue: { mode: 'collect', debounceMs: 700 } } }, { strategy: 'collect', debounceMs: 700 }),
      refused(
        { messages: { queue: { mode: 'collect', debounceMs: '2s' } } },
        'messages.queue.debounceMs',
        /whole milli/,
      ),
      refused({ messages: { queue: { mode: 'collect', debounceMs: 0 } } }, 'messages.queue.debounceMs'),
      refused({ messages: { queue: { mode: 'followup', debounceMs: 700 } } }, 'messages.queue.debounceMs', /fifo/),
      refused({ messages: { queue: { debounceMs: 700 } } }, 'messages.queue.debounceMs', /strategy queue/),
      elsewhere('messages.queue'),
    ],
    '`cap` (20), also in `messages.queue`': [
      means(forAll({ cap: 20 }), { maxQueueSize: 20 }),
      means({ messages: { queue: { cap: 20 } } }, { maxQueueSize: 20 }),
      refused({ messages: { queue: { cap: 0 } } }, 'messages.queue.cap'),
      refused(
        { messages: { queue: { cap: 3 } }, concurrency: { maxQueueSize: 4 } },
        'messages.queue.cap',
        /maxQueueSize/,
      ),
      elsewhere('messages.queue'),
    ],
    '`drop: old`, `new`, `summarize` (default), also in `messages.queue`': [
      ...Object.entries({ old: 'drop-oldest', new: 'drop-newest', summarize: 'summarize' }).flatMap(
        ([drop, onQueueFull]) => [
          means(forAll({ drop }), { onQueueFull }),
          means({ messages: { queue: { drop } } }, { onQueueFull }),
        ],
      ),
      elsewhere('drop: old messages.queue'),
    ],
    '`sessionTimeout` (seconds)': [means(forAll({ sessionTimeout: 1.5 }), { turnTimeoutMs: 1_500 })],
    '`gateway.workerPool`': [
      () => {
        const gateway = { workerPool: { minWorkers: 1, maxWorkers: 5, idleTimeout: 60 } };
        expect(load({ gateway }).gateway).toEqual(gateway);
        return { words: 'gateway.workerPool' };
      },
    ],
    '`sessionConcurrency`': [refused(forAll({ sessionConcurrency: 3 }), 'agents.defaults.sessionConcurrency', LATER)],
    '`maxConcurrent` (over all sessions)': [
      refused(forAll({ maxConcurrent: 3 }), 'agents.defaults.maxConcurrent', /strategy/),
      means(forAll({ strategy: 'concurrent', maxConcurrent: 3 }), { strategy: 'concurrent', maxConcurrent: 3 }),
      elsewhere('strategy: concurrent'),
    ],
    '`rateLimitStrategy`, `workspace`, priorities': [
      refused(forAll({ rateLimitStrategy: 'shared' }), 'agents.defaults.rateLimitStrategy', LATER),
      refused(forAll({ workspace: '/w' }), 'agents.defaults.workspace', LATER),
      refused({ telegram: { topics: { '1': { priority: 'high' } } } }, 'telegram', LATER),
    ],
    'no task guard (the request behind ours)': [elsewhere('task turn.tasks.run /v1/tasks: turn-tasks.spec.ts')],
    '`before_tool_call`': [elsewhere('before_tool_call: openclaw-hook.spec.ts')],
    'an approval that waits stays `running`': [
      elsewhere('running failed approved approval_expired: task-decisions.spec.ts'),
    ],
    '`/queue` in the chat': [
      elsewhere('/queue'),
      () => {
        expect(STRATEGY_WORDS).toContain('followup');
        return { words: 'strategy: message-body.schema.spec.ts' };
      },
    ],
  },
  'The concurrency guide': {
    '`sessions.isolation: strict`, `storage: per_session`': [
      means({ sessions: { isolation: 'strict', storage: 'per_session' } }, { strategy: 'queue' }),
      refused({ sessions: { isolation: 'shared' } }, 'sessions.isolation'),
      refused({ sessions: { storage: 'global' } }, 'sessions.storage'),
      elsewhere('sessions.isolation: strict storage: per_session'),
    ],
    '`sessions.id_source: user_id`': [
      means({ sessions: { id_source: 'user_id' } }, { lockScope: 'user' }),
      elsewhere('sessions.id_source: user_id'),
    ],
    '`agent.concurrency.max_concurrent_per_session: 1`': [
      means({ agent: { concurrency: { max_concurrent_per_session: 1 } } }, { strategy: 'queue', maxConcurrent: 1 }),
      elsewhere('agent.concurrency.max_concurrent_per_session: 1'),
    ],
    '`agent.concurrency.max_concurrent_per_session: n`, 2 to 256': [
      ...[2, 256].map((n) =>
        means(
          { agent: { concurrency: { max_concurrent_per_session: n } } },
          { strategy: 'concurrent', maxConcurrent: n },
        ),
      ),
      refused(
        { agent: { concurrency: { max_concurrent_per_session: 257 } } },
        'agent.concurrency.max_concurrent_per_session',
        /256/,
      ),
      refused(
        { agent: { concurrency: { max_concurrent_per_session: 2 } }, concurrency: 'burst' },
        'agent.concurrency.max_concurrent_per_session',
      ),
      elsewhere('agent.concurrency.max_concurrent_per_session: n maxConcurrent: n'),
    ],
    '`agent.concurrency.queue_timeout_ms`': [
      means({ agent: { concurrency: { queue_timeout_ms: 30_000 } } }, { queueTimeoutMs: 30_000 }),
      elsewhere('agent.concurrency.queue_timeout_ms'),
    ],
    '`agent.concurrency.overflow_action: return_busy_message`': [
      means({ agent: { concurrency: { overflow_action: 'return_busy_message' } } }, { overflowAction: 'busy-message' }),
      elsewhere('agent.concurrency.overflow_action: return_busy_message'),
    ],
    '`agent.concurrency.max_concurrent_total`': [
      refused(
        { agent: { concurrency: { max_concurrent_total: 50 } } },
        'agent.concurrency.max_concurrent_total',
        LATER,
      ),
    ],
    '`agent.tool_call_timeout_ms`, `agent.deadlock_detection`': [
      refused({ agent: { tool_call_timeout_ms: 30_000 } }, 'agent.tool_call_timeout_ms', LATER),
      refused({ agent: { deadlock_detection: { enabled: true } } }, 'agent.deadlock_detection', LATER),
    ],
    '`seen_message_ids`': [elsewhere('seen_message_ids: accepted-is-stored-once.spec.ts')],
  },
};

const rows = readRows(MIGRATING_PAGE).filter(({ section }) => section !== 'What is known to go wrong elsewhere');

it('docs/migrating.md has a proof for each row, and each proof has its row', () => {
  const proven = Object.entries(PROOFS).flatMap(([section, proofs]) =>
    Object.keys(proofs).map((there) => [section, there]),
  );
  expect(proven.toSorted()).toEqual(rows.map(({ section, there }) => [section, there]).toSorted());
});

describe('docs/migrating.md is correct', () => {
  it.each(rows.map((row): [string, PageRow] => [`${row.section}: ${row.there}`, row]))('%s', (_title, row) => {
    const proofs = PROOFS[row.section]?.[row.there] ?? [];
    const tried = proofs.map((proof) => JSON.stringify(proof())).join(' ');
    // In the form of a settings file: `strategy: drop`, `concurrency: 'queue'`.
    const text = tried.replaceAll(/["'\\]/g, '').replaceAll(/:(?=\S)/g, ': ');
    for (const word of wordsIn(`${row.there} ${row.here}`)) expect(text).toContain(word.replaceAll(/["']/g, ''));
    if (row.here.startsWith('refused')) expect(tried).toContain('"says"');
    if (row.here.startsWith('the same')) expect(tried).toMatch(/"expected"|gateway/);
  });

  it('for the default after each of our words', () => {
    const defaults: Record<string, unknown> = {
      ...QUEUE_DEFAULTS,
      ...TURN_DEFAULTS,
      'dedup.windowMs': load({}).dedup.windowMs,
    };
    const units: Record<string, number> = { s: 1_000, min: 60_000 };
    // Numbers in the first column belong to the other systems.
    const texts = rows.flatMap(({ here, differs }) => [here, differs]).join('\n');
    const told = [...texts.matchAll(/`([\w.]+)` \((\d+)(?: (s|min))?\)/g)];
    expect(told.map(([, word]) => word)).toEqual(
      expect.arrayContaining(['maxDebounceMs', 'turnTimeoutMs', 'debounceMs']),
    );
    for (const [, word = '', number, unit = ''] of told) {
      expect([word, defaults[word]]).toEqual([word, Number(number) * (units[unit] ?? 1)]);
    }
    expect(texts).toMatch(/The window is 1500 ms/);
    expect(texts).toMatch(/`onQueueFull` \(`drop-oldest`\)/);
    expect(QUEUE_DEFAULTS).toMatchObject({ onQueueFull: 'drop-oldest', debounceMs: 1_500 });
  });

  it.each(rows.map((row): [string, PageRow] => [row.there, row]))('for %s: only existing words', (_title, row) => {
    const proofs = PROOFS[row.section]?.[row.there] ?? [];
    const tried = proofs.map((proof) => JSON.stringify(proof())).join(' ');
    for (const word of wordsIn(row.differs).filter((word) => !KNOWN_WORDS.has(word))) expect(tried).toContain(word);
  });
});

/** The words that the column "what differs" may use. */
const KNOWN_WORDS = new Set<string>([
  ...[...STRATEGY_WORDS, ...FULL_QUEUE_POLICIES, ...OVERFLOW_ACTIONS, ...LOCK_SCOPES, ...DECISIONS],
  ...Object.keys(QUEUE_DEFAULTS),
  ...Object.keys(TURN_DEFAULTS),
  ...['queueTimeoutMs', 'busyMessage', 'lockScope', 'worker.capacity', '"unlimited"', '"2s"', 'messages.queue'],
  // Names of other systems, compared with ours.
  ...['steer', 'strategy: queue', 'taskKey', '<sessionKey>::<taskName>'],
  // Words for turns, messages and the guard: their own specs check them.
  ...['turn.messages', 'turn.message', 'turn.skipped', 'skipped', '{session}', 'approvalForMs'],
]);
