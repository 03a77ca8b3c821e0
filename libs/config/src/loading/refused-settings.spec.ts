import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadSettings } from './load-settings.js';
import { SettingsError } from '../settings-error.js';

/** Settings with which no process starts, as data. test/e2e shows what the process does with such a message. */

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'lk-refused-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

function messageOf(env: Record<string, string>, yaml = ''): string {
  writeFileSync(join(cwd, 'lanekeeper.yaml'), yaml);
  try {
    loadSettings({ cwd, env });
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
    throw error;
  }
  return 'they were taken';
}

describe('a variable is refused with its name', () => {
  it.each<[string, Record<string, string>, RegExp]>([
    ['a port that is a word', { LANEKEEPER_HTTP_PORT: 'eighty' }, /LANEKEEPER_HTTP_PORT: found "eighty"/],
    ['a port that is too high', { LANEKEEPER_HTTP_PORT: '65536' }, /LANEKEEPER_HTTP_PORT/],
    ['a host for all networks', { LANEKEEPER_HTTP_HOST: '0.0.0.0' }, /LANEKEEPER_HTTP_HOST.*tokens/s],
    ['a host for all networks in IPv6', { LANEKEEPER_HTTP_HOST: '::' }, /LANEKEEPER_HTTP_HOST.*tokens/s],
    ['an invalid host', { LANEKEEPER_HTTP_HOST: 'a b' }, /LANEKEEPER_HTTP_HOST/],
    ['a broker that is no URL', { LANEKEEPER_NATS_URL: 'broker' }, /LANEKEEPER_NATS_URL/],
    ['a broker over HTTP', { LANEKEEPER_NATS_URL: 'http://127.0.0.1:4222' }, /LANEKEEPER_NATS_URL/],
    ['a namespace with a dot', { LANEKEEPER_NAMESPACE: 'a.b' }, /LANEKEEPER_NAMESPACE/],
    ['a namespace with a wildcard', { LANEKEEPER_NAMESPACE: '>' }, /LANEKEEPER_NAMESPACE/],
    ['a worker id with a slash', { LANEKEEPER_WORKER_ID: 'a/b' }, /LANEKEEPER_WORKER_ID/],
    ['a capacity of nothing', { LANEKEEPER_WORKER_CAPACITY: '0' }, /LANEKEEPER_WORKER_CAPACITY/],
    ['a capacity of a half', { LANEKEEPER_WORKER_CAPACITY: '1.5' }, /LANEKEEPER_WORKER_CAPACITY/],
    [
      'a head table without an end',
      { LANEKEEPER_WORKER_HEAD_TABLE_BYTES: '1073741825' },
      /LANEKEEPER_WORKER_HEAD_TABLE_BYTES/,
    ],
    ['an unknown log level', { LANEKEEPER_LOG_LEVEL: 'loud' }, /LANEKEEPER_LOG_LEVEL/],
    ['an agent that is no URL', { LANEKEEPER_AGENT_URL: '127.0.0.1:8080' }, /LANEKEEPER_AGENT_URL/],
    ['an agent of another scheme', { LANEKEEPER_AGENT_URL: 'ftp://127.0.0.1/' }, /LANEKEEPER_AGENT_URL/],
    ['a secret that is too short', { LANEKEEPER_AGENT_SECRET: 'hush' }, /LANEKEEPER_AGENT_SECRET/],
  ])('%s', (_title, env, names) => expect(messageOf(env)).toMatch(names));
});

describe('a setting of the file is refused with its path', () => {
  it.each<[string, string, RegExp]>([
    ['a text for a number', 'drainMs: soon\n', /drainMs/],
    ['an agent in capitals', 'agents: {Main: {}}\n', /agents\.Main/],
    [
      'an agent with a url and a handler',
      'agents: {main: {handler: echo, url: "http://127.0.0.1:1/"}}\n',
      /agents\.main\.url/,
    ],
    ['an agent with two timeouts', 'agents: {main: {sessionTimeout: 1, turnTimeoutMs: 1000}}\n', /sessionTimeout/],
    ['an agent with no attempt', 'agents: {main: {maxAttempts: 0}}\n', /agents\.main\.maxAttempts/],
    ['an agent with a negative timeout', 'agents: {main: {turnTimeoutMs: -5}}\n', /agents\.main\.turnTimeoutMs/],
    [
      'a window for a strategy without one',
      'concurrency: {strategy: fifo, debounceMs: 5}\n',
      /concurrency\.debounceMs.*fifo/s,
    ],
    ['a lock that is forced', 'onLockConflict: force\n', /onLockConflict.*two turns/s],
    ['two mistakes, both reported', 'drainMs: -1\nshards: 3\n', /shards.*drainMs/s],
  ])('%s', (_title, yaml, names) => expect(messageOf({}, yaml)).toMatch(names));
});
