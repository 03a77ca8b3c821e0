import { describe, expect, it } from 'vitest';
import { installedSettings } from './installed-settings.js';
import { loadSettings } from '../loading/load-settings.js';
import { makeDocument } from './settings-document.js';
import type { SettingsInput } from '../settings.js';
import type { Settings } from '../settled-settings.js';
import type { SharedSettings } from './shared-settings.js';

const SECRET = '0123456789abcdefgh';
const OTHER = 'another secret of more';

/** A process with the settings `told`, in an installation with the settings `installed`. */
async function acting(own: SettingsInput, shared: SharedSettings, env: Record<string, string> = {}) {
  const document = await makeDocument(shared, { by: 'spec', at: 'now' });
  return installedSettings(loadSettings({ env, cwd: '/', overrides: own }), document, 3);
}

async function told(own: SettingsInput, shared: SharedSettings): Promise<string[]> {
  const { otherwise } = await acting(own, shared);
  return otherwise.map(({ field, before, after }) => `${field}: ${before} -> ${after}`);
}

const main = ({ agents }: Settings) => agents['main'];

describe('a process of an installation with stored settings', () => {
  it('uses the installation’s agents, queueing and guard, and its own other settings', async () => {
    const shared: SharedSettings = {
      agents: { main: { url: 'http://a/' }, support: { strategy: 'collect' } },
      channels: { sms: { strategy: 'debounce' } },
      guard: { ttlMs: 60_000 },
    };
    const { settings } = await acting({ drainMs: 5, worker: { id: 'w', capacity: 7 } }, shared);
    expect(Object.keys(settings.agents)).toEqual(['main', 'echo', 'support']);
    expect(main(settings)).toMatchObject({
      url: 'http://a/',
      channels: { sms: { queueing: { strategy: 'debounce' } } },
    });
    expect(settings.agents['support']?.queueing.strategy).toBe('collect');
    expect(settings.guard).toMatchObject({ ttlMs: 60_000, sweepMs: 5_000 });
    expect(settings).toMatchObject({ drainMs: 5, worker: { id: 'w', capacity: 7 } });
  });

  it('without settings of its own has no differences', async () => {
    expect(await told({}, { agents: { main: { url: 'http://a/' } }, guard: { ttlMs: 60_000 } })).toEqual([]);
  });

  it('with other settings reports each field with both values, and uses the installation’s', async () => {
    const own: SettingsInput = { agents: { main: { url: 'http://old/' } }, guard: { ttlMs: 70_000 } };
    const shared: SharedSettings = {
      agents: { main: { url: 'http://new/', maxAttempts: 5 }, support: {} },
      guard: { ttlMs: 60_000 },
    };
    expect(await told(own, shared)).toEqual([
      'agents.main.maxAttempts: unset -> 5',
      'agents.main.url: "http://old/" -> "http://new/"',
      'guard.ttlMs: 70000 -> 60000',
    ]);
    const { settings } = await acting(own, shared);
    expect(main(settings)).toMatchObject({ url: 'http://new/', maxAttempts: 5 });
  });

  it('does not have an agent that only its own settings name', async () => {
    const own: SettingsInput = { agents: { suport: { url: 'http://a/' } } };
    const { settings } = await acting(own, { agents: { support: { url: 'http://a/' } } });
    expect(Object.keys(settings.agents)).toEqual(['main', 'echo', 'support']);
    expect(await told(own, { agents: { support: {} } })).toEqual(['agents.suport.url: "http://a/" -> unset']);
  });

  it('with the same settings in other words has no differences', async () => {
    const own: SettingsInput = {
      agents: { main: { sessionTimeout: 5, strategy: 'followup' } },
      guard: { sweepMs: 5_000 },
    };
    const shared: SharedSettings = { agents: { main: { turnTimeoutMs: 5_000, strategy: 'fifo' }, support: {} } };
    expect(await told(own, shared)).toEqual([]);
  });

  it('refuses settings that its version does not know', async () => {
    const shared = { agents: { main: { agentMissingMs: 5 } } } as SharedSettings;
    await expect(acting({}, shared)).rejects.toThrow(/version 3; .*agents\.main\.agentMissingMs: found an unknown/s);
  });
});

describe('a secret of the installation', () => {
  const shared: SharedSettings = { agents: { main: { url: 'http://a/', secret: SECRET } } };

  it('is taken from the process’s own file or environment', async () => {
    const fromFile = await acting({ agents: { main: { secret: SECRET } } }, shared);
    const fromVariable = await acting({}, shared, { LANEKEEPER_AGENT_SECRET: SECRET });
    for (const { settings, otherwise } of [fromFile, fromVariable]) {
      expect(main(settings)).toMatchObject({ url: 'http://a/', secret: SECRET });
      expect(main(settings)).not.toHaveProperty('lacks');
      expect(otherwise).toEqual([]);
    }
  });

  it('that a process lacks stops it from running that agent, and no other', async () => {
    const { settings } = await acting({}, { agents: { ...shared.agents, free: { url: 'http://b/' } } });
    expect(main(settings)).toMatchObject({ lacks: 'agents.main.secret' });
    expect(main(settings)?.secret).toBeUndefined();
    expect(settings.agents['free']).not.toHaveProperty('lacks');
    expect(settings.agents['echo']).not.toHaveProperty('lacks');
  });

  it('of the defaults is missing for each agent that inherits it', async () => {
    const { settings } = await acting(
      {},
      { agents: { defaults: { url: 'http://a/', secret: SECRET }, own: { url: 'http://b/' } } },
    );
    expect(main(settings)).toMatchObject({ lacks: 'agents.defaults.secret' });
    expect(settings.agents['own']).not.toHaveProperty('lacks');
  });

  it('that differs in a process is reported by hashes, and used: a signature reveals nothing of it', async () => {
    const own: SettingsInput = { agents: { main: { secret: OTHER } } };
    expect(main((await acting(own, shared)).settings)).toMatchObject({ secret: OTHER });
    expect(await told(own, shared)).toEqual([
      expect.stringMatching(/^agents\.main\.secret: hash \w{8} -> hash \w{8}$/),
    ]);
  });

  it('that only a process knows still signs its requests', async () => {
    const own: SettingsInput = { agents: { main: { secret: OTHER } } };
    const open: SharedSettings = { agents: { main: { url: 'http://a/' } } };
    expect(main((await acting(own, open)).settings)).toMatchObject({ url: 'http://a/', secret: OTHER });
    expect(await told(own, open)).toEqual([expect.stringMatching(/^agents\.main\.secret: hash \w{8} -> unset$/)]);
  });
});

describe('credentials in the url of an agent', () => {
  const shared: SharedSettings = { agents: { main: { url: 'http://u:pw@a/turn' } } };

  it.each([
    ['the same', 'http://u:pw@a/turn', 'http://u:pw@a/turn'],
    ['others, for the same host', 'http://u:new@a/old', 'http://u:new@a/turn'],
    ['the same, from a url that is no longer right', 'http://u:pw@old/turn', 'http://u:pw@a/turn'],
  ])('are used when the process has %s', async (_title, url, expected) => {
    const { settings } = await acting({ agents: { main: { url } } }, shared);
    expect(main(settings)).toMatchObject({ url: expected });
    expect(main(settings)).not.toHaveProperty('lacks');
  });

  it.each([
    ['none', {}],
    ['a url without them', { agents: { main: { url: 'http://a/turn' } } }],
    ['others, which are for another host', { agents: { main: { url: 'http://u:theirs@old/turn' } } }],
  ])('stop a process from running the agent when it has %s', async (_title, own) => {
    const { settings } = await acting(own, shared);
    expect(main(settings)).toMatchObject({ lacks: 'agents.main.url' });
    expect(JSON.stringify(settings.agents)).not.toContain('theirs');
  });
});

describe('the text of a header of an agent', () => {
  const withKey = (url: string, key: string): SharedSettings => ({
    agents: { main: { url, headers: { 'X-Key': key } } },
  });
  const shared = withKey('http://a/turn', 'the key');

  it.each([
    ['the same', withKey('http://a/turn', 'the key'), 'the key'],
    ['another one, for the same host', withKey('http://a/old', 'my key'), 'my key'],
    ['the same, from a url that is no longer right', withKey('http://old/', 'the key'), 'the key'],
  ])('is used when the process has %s', async (_title, own, expected) => {
    const { settings } = await acting(own, shared);
    expect(main(settings)).toMatchObject({ url: 'http://a/turn', headers: { 'X-Key': expected } });
    expect(main(settings)).not.toHaveProperty('lacks');
  });

  it.each<[string, SettingsInput]>([
    ['none', {}],
    ['another one, which is for another host', withKey('http://old/', 'theirs')],
    ['another one, and no url that it is for', { agents: { main: { headers: { 'X-Key': 'theirs' } } } }],
  ])('stops a process from running the agent when it has %s', async (_title, own) => {
    const { settings } = await acting(own, shared);
    expect(main(settings)).toMatchObject({ lacks: 'agents.main.headers.X-Key' });
    expect(JSON.stringify(settings.agents)).not.toContain('theirs');
  });
});
