import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadSettings } from './load-settings.js';

let cwd = '';
beforeEach(() => void (cwd = mkdtempSync(join(tmpdir(), 'lanekeeper-'))));
afterEach(() => rmSync(cwd, { recursive: true }));

const load = (named: string) => {
  writeFileSync(
    join(cwd, 'lanekeeper.yaml'),
    'namespace: prod\nnats: {url: "nats://own:4222"}\nagents: {main: {maxAttempts: 7}}\n',
  );
  writeFileSync(join(cwd, 'shown.yaml'), named);
  return loadSettings({ env: {}, cwd, file: 'shown.yaml' });
};

it('a file named on the command line applies to the folder’s installation, and replaces the folder’s file', () => {
  const { namespace, nats, agents, shared } = load('agents: {main: {maxAttempts: 2}}\n');
  expect([namespace, nats.url]).toEqual(['prod', 'nats://own:4222']);
  expect(agents['main']?.maxAttempts).toBe(2);
  expect(shared.agents).toEqual({ main: { maxAttempts: 2 } });
  expect(load('agents: {support: {}}\n').shared.agents).toEqual({ support: {} });
});

it('a file that names a place applies to that place', () => {
  const { namespace, nats } = load('namespace: other\nnats: {url: "nats://theirs:4222"}\n');
  expect([namespace, nats.url]).toEqual(['other', 'nats://theirs:4222']);
});

it('a missing file is reported by its path, not by a variable', () => {
  expect(() => loadSettings({ env: {}, cwd, file: 'none.yaml' })).toThrow(
    `${join(cwd, 'none.yaml')}: found no such file`,
  );
});
