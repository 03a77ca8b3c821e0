import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readAgentTargets } from './agent-targets.js';
import { loadSettings } from '../loading/load-settings.js';
import { SettingsError } from '../settings-error.js';

const URL_OF_MAIN = 'https://agent.example/turn';
let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'lk-targets-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

const load = (main: object) => loadSettings({ cwd, env: {}, overrides: { agents: { main: main as never } } });

function target(main: object, env: Record<string, string> = {}) {
  return readAgentTargets(load({ url: URL_OF_MAIN, ...main }).agents, { env, cwd }).get('main');
}

function problems(run: () => unknown): readonly { field: string; found: string; wanted: string; remedy?: string }[] {
  try {
    run();
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;

describe('credentials of a url', () => {
  it.each([
    ['user and password', 'https://me:pw@agent.example/turn?a=1', 'me:pw', 'https://agent.example/turn?a=1'],
    ['percent escapes', 'https://m%40e:p%3Aw%2F%25%20%C3%BC@agent.example/', 'm@e:p:w/% ü', 'https://agent.example/'],
    ['a user alone', 'https://token@agent.example/', 'token:', 'https://agent.example/'],
    ['a password alone', 'https://:pw@agent.example/', ':pw', 'https://agent.example/'],
    ['characters that are not escaped', 'https://mü:pw@agent.example/', 'mü:pw', 'https://agent.example/'],
  ])('become Basic authentication: %s', (_title, url, pair, rest) => {
    expect(target({ url })).toEqual({ url: rest, headers: { authorization: basic(pair) } });
  });

  it('are sent unchanged when they are percent-encoded', () => {
    const texts = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => !/\p{Cc}/u.test(text));
    fc.assert(
      fc.property(texts, texts, (user, password) => {
        if (user.includes(':')) return;
        const url = `http://${encodeURIComponent(user)}:${encodeURIComponent(password)}@a/`;
        expect(target({ url })?.headers).toEqual({ authorization: basic(`${user}:${password}`) });
      }),
      { numRuns: 100 },
    );
  });

  it('are absent when the URL has none', () => {
    expect(target({})).toEqual({ url: URL_OF_MAIN, headers: {} });
  });

  it.each([
    ['a percent sign alone', 'https://me:100%SECRET@a/', /percent escape/],
    ['bytes that are no character', 'https://me:%FFSECRET@a/', /percent escape/],
    ['a line break', 'https://me:%0ASECRET@a/', /percent escape/],
    ['a colon in the name', 'https://m%3Ae:SECRET@a/', /headers/],
  ])('that cannot be sent are refused, and not shown: %s', (_title, url, remedy) => {
    const found = problems(() => load({ url }));
    expect(found).toMatchObject([{ field: 'agents.main.url', remedy: expect.stringMatching(remedy) }]);
    expect(JSON.stringify(found)).not.toContain('SECRET');
  });
});

describe('headers of an agent', () => {
  it('come from the text, a variable or a file', () => {
    writeFileSync(join(cwd, 'token'), 'from a file\n');
    const headers = { Authorization: { env: 'MY_TOKEN' }, 'x-team': 'a b', 'x-file': { file: 'token' } };
    expect(target({ headers }, { MY_TOKEN: 'Bearer t' })?.headers).toEqual({
      ...{ authorization: 'Bearer t', 'x-team': 'a b', 'x-file': 'from a file' },
    });
  });

  it('whose values cannot be read are reported together, without any value', () => {
    writeFileSync(join(cwd, 'long'), 'SECRET'.repeat(2_000));
    writeFileSync(join(cwd, 'lines'), 'SECRET\nSECRET');
    const headers = {
      ...{ a: { env: 'UNSET' }, b: { env: 'EMPTY' }, c: { env: 'BROKEN' } },
      ...{ d: { file: 'none' }, e: { file: 'long' }, f: { file: 'lines' }, g: { file: '.' }, h: { file: '/dev/zero' } },
    };
    const found = problems(() => target({ headers }, { EMPTY: '', BROKEN: 'SECRET\r\nx: y' }));
    expect(found.map(({ field }) => field)).toEqual([...'abcdefgh'].map((name) => `agents.main.headers.${name}`));
    expect(found[0]).toMatchObject({ found: 'nothing in variable UNSET', remedy: 'set it where this worker runs' });
    expect(found[3]?.found).toMatch(/^nothing in file .*none \(ENOENT\)$/);
    expect(JSON.stringify(found)).not.toContain('SECRET');
  });

  it.each<[string, Record<string, unknown>, string]>([
    ...['connection', 'Transfer-Encoding', 'te', 'trailer', 'upgrade', 'keep-alive', 'proxy-authorization', 'host'].map(
      (name): [string, Record<string, unknown>, string] => ['of the connection', { [name]: 'x' }, 'connection'],
    ),
    ...['content-type', 'Content-Length', 'Accept', 'accept-encoding', 'idempotency-key', 'traceparent'].map(
      (name): [string, Record<string, unknown>, string] => ['of ours', { [name]: 'x' }, '(Lanekeeper|connection)'],
    ),
    ['of ours by its beginning', { 'X-Lanekeeper-Signature': 'x' }, 'Lanekeeper'],
    ['no header could have', { 'a b': 'x' }, 'no header'],
    ['no header could have', { '': 'x' }, 'no header'],
    ['twice', { 'x-a': 'x', 'X-A': 'y' }, 'beside it'],
  ])('are refused under a name %s: %j', (_title, headers, found) => {
    expect(problems(() => load({ url: URL_OF_MAIN, headers }))).toMatchObject([
      { field: expect.stringContaining('agents.main.headers'), found: expect.stringMatching(found) },
    ]);
  });

  it('and credentials in the url are refused together', () => {
    const found = problems(() => load({ url: 'http://me:SECRET@a/', headers: { Authorization: 'Bearer SECRET' } }));
    expect(found).toMatchObject([{ field: 'agents.main.headers.Authorization' }]);
    expect(JSON.stringify(found)).not.toContain('SECRET');
  });

  it.each([
    ['a number, as YAML reads digits', 12_345],
    ['nothing', ''],
    ['a line break', 'a\r\nb'],
    ['other characters', 'grüße'],
    ['space at the end', 'a '],
    ['too much', 'x'.repeat(8_193)],
    ['an unknown place', { vault: 'x' }],
    ['two places', { env: 'A', file: 'b' }],
    ['an invalid variable name', { env: 'A B' }],
    ['a variable that is a setting', { env: 'LANEKEEPER_TOKEN' }],
    ['null', null],
    ['a list', ['x']],
  ])('are refused with %s, and the value is not shown', (_title, value) => {
    const found = problems(() => load({ url: URL_OF_MAIN, headers: { 'x-key': value } }));
    expect(found).toMatchObject([
      { field: 'agents.main.headers.x-key', wanted: expect.stringContaining('{env: NAME}') },
    ]);
    expect(JSON.stringify(found)).not.toContain('12345');
  });

  it('are refused with the one name that would be lost silently', () => {
    writeFileSync(join(cwd, 'lanekeeper.json'), '{"agents": {"main": {"headers": {"__proto__": "x"}}}}');
    expect(problems(() => loadSettings({ cwd, env: { LANEKEEPER_CONFIG: 'lanekeeper.json' } }))).toMatchObject([
      { field: 'agents.main.headers.__proto__' },
    ]);
  });

  it.each(['secret', 'headers', 'streamIdleMs'])('%s with a handler would have no effect, and is refused', (field) => {
    const value = { secret: 'x'.repeat(16), headers: { a: 'b' }, streamIdleMs: 1_000 }[field];
    expect(problems(() => load({ handler: 'mine', [field]: value }))).toMatchObject([
      { field: `agents.main.${field}` },
    ]);
  });
});
