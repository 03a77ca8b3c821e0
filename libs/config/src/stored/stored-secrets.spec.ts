import { describe, expect, it } from 'vitest';
import { fingerprintOf, saysSomething, withoutSecrets, withSecrets } from './stored-secrets.js';
import type { SharedSettings } from './shared-settings.js';

const SECRET = '0123456789abcdefgh';

describe('secrets of agents', () => {
  const written: SharedSettings = {
    agents: {
      defaults: { maxAttempts: 2 },
      main: { url: 'https://user:p%40ss@agent.example/turn?x=1', secret: SECRET },
      plain: { url: 'http://127.0.0.1:8080/turn' },
    },
    guard: { ttlMs: 60_000 },
  };

  it('are removed, including the credentials of a url, and nothing else is changed', () => {
    const { open, secrets } = withoutSecrets(written);
    expect(open).toEqual({
      agents: {
        defaults: { maxAttempts: 2 },
        main: { url: 'https://agent.example/turn?x=1' },
        plain: { url: 'http://127.0.0.1:8080/turn' },
      },
      guard: { ttlMs: 60_000 },
    });
    expect(JSON.stringify(open)).not.toMatch(/p%40ss|user|0123456789/);
    expect([...secrets]).toEqual([
      ['agents.main.secret', SECRET],
      ['agents.main.url', 'user:p%40ss'],
    ]);
  });

  it('are put back where they were', () => {
    const { open, secrets } = withoutSecrets(written);
    expect(withSecrets(open, secrets)).toEqual(written);
  });

  it('in headers are texts; a reference to a value is not a secret', () => {
    const headers = {
      Authorization: 'Bearer abc',
      'x.key': '7',
      'X-Tenant': { env: 'TENANT' },
      'X-File': { file: 'f' },
    };
    const both = { agents: { main: { url: 'http://h/', headers }, alone: { headers: { a: 'b' } } } } as SharedSettings;
    const { open, secrets } = withoutSecrets(both);
    expect(open.agents).toEqual({
      main: { url: 'http://h/', headers: { 'X-Tenant': { env: 'TENANT' }, 'X-File': { file: 'f' } } },
      alone: {},
    });
    expect([...secrets]).toEqual([
      ['agents.main.headers.Authorization', 'Bearer abc'],
      ['agents.main.headers.x.key', '7'],
      ['agents.alone.headers.a', 'b'],
    ]);
    expect(withSecrets(open, secrets)).toEqual(both);
  });

  it('of an unknown agent have no place', () => {
    const secrets = new Map([
      ['agents.gone.secret', SECRET],
      ['agents.constructor.secret', SECRET],
    ]);
    expect(withSecrets({ agents: { main: {} } }, secrets)).toEqual({ agents: { main: {} } });
  });

  it.each(['http://user@h/', 'http://:pw@h/', 'http://a%3Ab:c@h/'])('of %s are complete', (url) => {
    const { open, secrets } = withoutSecrets({ agents: { main: { url } } });
    expect(open.agents).toEqual({ main: { url: 'http://h/' } });
    const back = withSecrets(open, secrets).agents?.['main']?.url ?? '';
    const [one, other] = [new URL(back), new URL(url)];
    expect([one.username, one.password]).toEqual([other.username, other.password]);
  });

  it('have one hash for each salt and field, which reveals nothing of them', async () => {
    const hash = await fingerprintOf(SECRET, 'agents.main.secret', 'salt');
    expect(hash).toMatch(/^[0-9a-f]{32}$/);
    expect(await fingerprintOf(SECRET, 'agents.main.secret', 'salt')).toBe(hash);
    expect(await fingerprintOf(SECRET, 'agents.main.secret', 'other')).not.toBe(hash);
    expect(await fingerprintOf(SECRET, 'agents.support.secret', 'salt')).not.toBe(hash);
  });
});

describe('whether settings concern more than one process', () => {
  it.each<[boolean, SharedSettings]>([
    [false, {}],
    [false, { agents: { main: { secret: SECRET } } }],
    [true, { agents: { main: {} } }],
    [true, { agents: { main: { secret: SECRET }, support: {} } }],
    [true, { agents: { main: { url: 'http://user:pw@h/' } } }],
    [true, { guard: { ttlMs: 60_000 } }],
    [true, { concurrency: 'fifo' }],
    [true, { channels: { sms: {} } }],
  ])('%s: %j', (expected, shared) => {
    expect(saysSomething(shared)).toBe(expected);
  });
});
