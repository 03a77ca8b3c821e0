import { describe, expect, it } from 'vitest';
import { loadSettings } from '../loading/load-settings.js';
import { makeDocument, writeDocument } from './settings-document.js';
import { settingDifferences } from './settings-differences.js';
import { SettingsError } from '../settings-error.js';
import type { SettingsInput } from '../settings.js';
import type { Settings } from '../settled-settings.js';

/** Each value here contains it; nothing that a person or the broker can see may contain it. */
const SECRET = 'S3CRETof16orMore';

const agent = (name: string, fields: object): SettingsInput => ({ agents: { [name]: fields } }) as SettingsInput;
const load = (overrides: SettingsInput): Settings => loadSettings({ cwd: '/', env: {}, overrides });

/** Each setting that may contain a secret: valid values, and values that its check refuses. */
const HOLDERS: readonly [string, SettingsInput, readonly SettingsInput[]][] = [
  [
    'nats.url',
    { nats: { url: `nats://me:${SECRET}@broker:4222` } },
    [{ nats: { url: `nat://me:${SECRET}@broker` } }, { nats: { url: SECRET } }],
  ],
  ...['main', 'defaults'].flatMap((name): [string, SettingsInput, readonly SettingsInput[]][] => [
    [
      `agents.${name}.secret`,
      agent(name, { url: 'http://a/', secret: SECRET }),
      [agent(name, { url: 'http://a/', secret: [SECRET] }), agent(name, { handler: 'mine', secret: SECRET })],
    ],
    [
      `agents.${name}.url`,
      agent(name, { url: `http://me:${SECRET}@a/` }),
      [
        agent(name, { url: `ftp://me:${SECRET}@a/` }),
        agent(name, { url: `http://me:%FF${SECRET}@a/` }),
        agent(name, { url: `http://m%3Ae:${SECRET}@a/` }),
        agent(name, { url: `http://me:${SECRET}@a/`, handler: 'mine' }),
      ],
    ],
    [
      `agents.${name}.headers`,
      agent(name, { url: 'http://a/', headers: { Authorization: `Bearer ${SECRET}` } }),
      [
        agent(name, { url: 'http://a/', headers: { Authorization: `${SECRET}\n` } }),
        agent(name, { url: 'http://a/', headers: SECRET }),
        agent(name, { url: 'http://a/', headers: { host: SECRET } }),
        agent(name, { url: `http://me:${SECRET}@a/`, headers: { authorization: SECRET } }),
        agent(name, { handler: 'mine', headers: { 'x-key': SECRET } }),
      ],
    ],
  ]),
];

describe.each(HOLDERS)('a secret in %s', (_path, right, wrong) => {
  it.each(wrong)('does not appear in the problem report that refuses %j', (settings) => {
    expect.assertions(2);
    try {
      load(settings);
    } catch (error) {
      expect(error).toBeInstanceOf(SettingsError);
      const { message, problems } = error as SettingsError;
      expect(`${message} ${JSON.stringify(problems)}`).not.toContain(SECRET);
    }
  });

  it('appears neither in the document on the broker nor in a list of differences', async () => {
    const { shared } = load(right);
    const made = await makeDocument(shared, { by: 'spec', at: 'now' });
    expect(writeDocument(made)).not.toContain(SECRET);
    for (const differences of [settingDifferences(undefined, made), settingDifferences(made, undefined)]) {
      expect(JSON.stringify(differences)).not.toContain(SECRET);
    }
  });
});

it('other values are shown as they are, even for an agent that is called secret', async () => {
  expect(() => load(agent('secret', { maxAttempts: 0 }))).toThrow('agents.secret.maxAttempts: found the number 0');
  expect(() => load({ nats: { replicas: 7 } } as never)).toThrow('nats.replicas: found the number 7');
  const told = agent('secret', { url: 'https://me:pw@a/turn', maxAttempts: 3 });
  const made = await makeDocument(load(told).shared, { by: 'spec', at: 'now' });
  const shown = settingDifferences(undefined, made).map(({ field, after }) => [field, after]);
  expect(shown).toEqual([
    ['agents.secret.maxAttempts', '3'],
    ['agents.secret.url', '"https://a/turn"'],
    ['agents.secret.url (credentials)', expect.stringMatching(/^hash [0-9a-f]{8}$/)],
  ]);
});
