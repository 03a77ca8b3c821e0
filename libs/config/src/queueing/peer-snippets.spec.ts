import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import json5 from 'json5';
import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { QUEUE_DEFAULTS } from '#contracts';
import { loadSettings } from '../loading/load-settings.js';
import { SettingsError } from '../settings-error.js';

/** What users of other systems wrote in their proposals and guides, word for word, must load here. */
const FOLDER = fileURLToPath(new URL('peer-snippets', import.meta.url));

const load = (name: string) => loadSettings({ cwd: FOLDER, env: { LANEKEEPER_CONFIG: name } });

function refusedIn(name: string): Record<string, string> {
  try {
    load(name);
  } catch (error) {
    if (error instanceof SettingsError)
      return Object.fromEntries(error.problems.map(({ field, found, wanted }) => [field, `${found}, ${wanted}`]));
    throw error;
  }
  return {};
}

const FOR_ALL = { queueing: QUEUE_DEFAULTS };
const LOADED: Record<string, object> = {
  'chat-sdk-queue.json5': FOR_ALL,
  'chat-sdk-concurrent.json5': { queueing: { ...QUEUE_DEFAULTS, strategy: 'concurrent' } },
  'chat-sdk-debounce.json5': { queueing: { ...QUEUE_DEFAULTS, strategy: 'debounce', debounceMs: 1_500 } },
  'chat-sdk-lock-scope.json5': { ...FOR_ALL, lockScope: 'thread' },
  'chat-sdk-lock-scope-channel.json5': { ...FOR_ALL, lockScope: 'channel' },
  'chat-sdk-fine-grained.json5': FOR_ALL,
  'chat-sdk-on-lock-conflict.json5': { queueing: { ...QUEUE_DEFAULTS, strategy: 'drop' } },
  'openclaw-messages-queue.json5': {
    queueing: {
      ...{ ...QUEUE_DEFAULTS, strategy: 'collect', debounceMs: 1_000 },
      ...{ maxQueueSize: 20, onQueueFull: 'summarize' },
    },
    channels: { discord: { queueing: expect.objectContaining({ strategy: 'fifo' }) } },
  },
  'guide-session-isolation.yaml': { ...FOR_ALL, lockScope: 'user' },
};

const LATER = 'a setting of a later version, none: not in this version yet';
const REFUSED: Record<string, Record<string, string>> = {
  'guide-concurrency-limits.yaml': { 'agent.concurrency.max_concurrent_total': LATER },
  'guide-deadlock-detection.yaml': { 'agent.tool_call_timeout_ms': LATER, 'agent.deadlock_detection': LATER },
  'openclaw-session-concurrency.json5': { 'agents.defaults.sessionConcurrency': LATER },
  'openclaw-session-concurrency-per-agent.json5': {
    'agents.main.sessionConcurrency': LATER,
    'agents.work.sessionConcurrency': LATER,
  },
  'openclaw-rate-limit-strategy.json5': {
    'agents.defaults.sessionConcurrency': LATER,
    'agents.defaults.rateLimitStrategy': LATER,
  },
  'openclaw-topic-priorities.json5': { telegram: LATER },
  'openclaw-example-configuration.json5': {
    'agents.defaults.workspace': LATER,
    'agents.defaults.sessionConcurrency': LATER,
  },
};

it('every snippet is known', () => {
  expect(readdirSync(FOLDER).toSorted()).toEqual([...Object.keys(LOADED), ...Object.keys(REFUSED)].toSorted());
});

describe('loads', () => {
  it.each(Object.entries(LOADED))('%s', (name, expected) => {
    const { main, echo } = load(name).agents;
    expect(main).toMatchObject(expected);
    expect(main?.lockScope).toBe('lockScope' in expected ? expected.lockScope : undefined);
    expect(echo).toEqual(main);
  });
});

describe('is refused only for its settings of a later version', () => {
  it.each(Object.entries(REFUSED))('%s', (name, expected) => {
    expect(refusedIn(name)).toEqual(expected);
  });

  it.each<[string, (snippet: Snippet) => void, object]>([
    [
      'guide-concurrency-limits.yaml',
      ({ agent }) => delete agent?.concurrency?.['max_concurrent_total'],
      { queueing: { ...QUEUE_DEFAULTS, maxConcurrent: 1, queueTimeoutMs: 30_000 } },
    ],
    [
      'openclaw-example-configuration.json5',
      ({ agents }) => {
        delete agents?.defaults?.['workspace'];
        delete agents?.defaults?.['sessionConcurrency'];
      },
      { turnTimeoutMs: 300_000, queueing: QUEUE_DEFAULTS },
    ],
  ])('%s without them has the described meaning', (name, leaveOut, expected) => {
    const text = readFileSync(`${FOLDER}/${name}`, 'utf8');
    const snippet = (name.endsWith('.yaml') ? parse(text) : json5.parse(text)) as Snippet;
    leaveOut(snippet);
    expect(loadSettings({ cwd: '/', env: {}, overrides: snippet as object }).agents['main']).toMatchObject(expected);
  });
});

interface Snippet {
  agent?: { concurrency?: Record<string, unknown> };
  agents?: { defaults?: Record<string, unknown> };
}
