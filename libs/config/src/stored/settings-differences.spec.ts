import { expect, it } from 'vitest';
import { makeDocument, type SettingsDocument } from './settings-document.js';
import { settingDifferences } from './settings-differences.js';
import type { SharedSettings } from './shared-settings.js';

const SALT = 'a salt of sixteen';
const documentOf = (shared: SharedSettings): Promise<SettingsDocument> =>
  makeDocument(shared, { by: 'spec', at: 'now', salt: SALT });

async function between(before: SharedSettings, after: SharedSettings): Promise<string[]> {
  const found = settingDifferences(await documentOf(before), await documentOf(after));
  return found.map(({ field, before, after }) => `${field}: ${before} -> ${after}`);
}

it('each differing field is listed with both values, in order', async () => {
  const before = { agents: { main: { url: 'http://a/', maxAttempts: 2 } }, guard: { ttlMs: 60_000 } };
  const after = { agents: { main: { url: 'http://b/', turnTimeoutMs: 10 } }, concurrency: 'fifo' as const };
  expect(await between(before, after)).toEqual([
    'agents.main.maxAttempts: 2 -> unset',
    'agents.main.turnTimeoutMs: unset -> 10',
    'agents.main.url: "http://a/" -> "http://b/"',
    'concurrency: unset -> "fifo"',
    'guard.ttlMs: 60000 -> unset',
  ]);
});

it('the same settings have none, in any order', async () => {
  const one = { agents: { a: { maxAttempts: 1, laneBuffer: 9 }, b: {} }, guard: { ttlMs: 60_000 } };
  const other = { guard: { ttlMs: 60_000 }, agents: { b: {}, a: { laneBuffer: 9, maxAttempts: 1 } } };
  expect(await between(one, other)).toEqual([]);
});

it('an agent with only a name is one field, until it has settings', async () => {
  expect(await between({}, { agents: { support: {} } })).toEqual(['agents.support: unset -> {}']);
  expect(await between({ agents: { support: {} } }, { agents: { support: { maxAttempts: 2 } } })).toEqual([
    'agents.support.maxAttempts: unset -> 2',
  ]);
});

it('of a secret some digits of its hash are shown, and nothing of its value', async () => {
  const [one, other] = ['0123456789abcdefgh', 'another secret of more'].map((secret) => ({
    agents: { main: { url: `http://u:${secret.slice(0, 7)}@h/`, secret } },
  }));
  const found = await between(one as SharedSettings, other as SharedSettings);
  expect(found).toEqual([
    expect.stringMatching(/^agents\.main\.secret: hash [0-9a-f]{8} -> hash [0-9a-f]{8}$/),
    expect.stringMatching(/^agents\.main\.url \(credentials\): hash [0-9a-f]{8} -> hash [0-9a-f]{8}$/),
  ]);
  expect(found.join()).not.toMatch(/0123456|another/);
});

it('a long value is cut', async () => {
  const [found] = await between({}, { agents: { main: { busyMessage: 'x'.repeat(1_000) } } });
  expect(found).toMatch(/^agents\.main\.busyMessage: unset -> "x{118}…$/);
});
