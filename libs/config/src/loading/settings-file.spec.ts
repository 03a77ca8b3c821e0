import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSettingsFile } from './settings-file.js';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'lk-file-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

function read(name: string, content: string | Uint8Array) {
  writeFileSync(join(cwd, name), content);
  return readSettingsFile({ LANEKEEPER_CONFIG: name }, cwd);
}

describe('readSettingsFile', () => {
  it.each([
    ['a.yaml', 'drainMs: 5 # five', { drainMs: 5 }],
    ['a.yml', 'log:\n  level: warn', { log: { level: 'warn' } }],
    ['a.json', '{"drainMs": 5}', { drainMs: 5 }],
    ['a.json5', "// five\n{drainMs: 5, log: {level: 'warn'}, /* : */}", { drainMs: 5, log: { level: 'warn' } }],
    ['a.JSON5', '', {}],
    ['a.json5', '{agents: {main: null}, http: null}', { agents: { main: {} }, http: {} }],
    [
      'a.yaml',
      'x: &x {handler: h}\nagents: {a: *x, b: *x}',
      { x: { handler: 'h' }, agents: { a: { handler: 'h' }, b: { handler: 'h' } } },
    ],
  ])('%s %j', (name, content, values) => {
    expect(read(name, content)).toMatchObject({ values, problems: [] });
  });

  const bomb = Array.from(
    { length: 9 },
    (_, i) =>
      `a${i}: &a${i} [${
        i === 0
          ? 1
          : Array(9)
              .fill(`*a${i - 1}`)
              .join(',')
      }]`,
  );
  it.each<[string, string | Uint8Array, RegExp]>([
    ['a.yaml', 'a: 1\nb: 2\na: 3', /a key in line 3/],
    ['a.json', '{"a": 1,\n"a": 2}', /a key in line 2/],
    ['a.json5', '{a: {b: 1},\n// a:\n\n"a": 2}', /a key in line 4/],
    ['a.yaml', 'a: 1\nb: [1\nc: 2', /broken YAML in line \d/],
    ['a.yaml', 'a: 1\n\tb: 2', /broken YAML in line 2/],
    ['a.yaml', '--- {a: 1}\n--- {b: 1}', /line 2 \(multiple docs\)/],
    ['a.yaml', 'a: !secret x', /line 1 \(tag resolve failed\)/],
    ['a.yaml', 'a: *b', /alias/],
    ['a.yaml', bomb.join('\n'), /alias/],
    ['a.yaml', '['.repeat(50_000), /broken YAML/],
    ['a.json5', '['.repeat(500_000), /broken JSON5/],
    ['a.json5', '{a: 1,\n  @}', /broken JSON5 in line 2/],
    ['a.yaml', '- a', /an array of 1/],
    ['a.json', '"text"', /a text of 4 bytes/],
    ['a.yaml', Uint8Array.of(0x61, 0x3a, 0x20, 0xff), /not UTF-8/],
    ['a.yaml', `# ${'x'.repeat(1024 * 1024)}`, /1048578 bytes/],
    ['a.toml', 'a = 1', /another ending/],
    ['a', 'a: 1', /without an ending/],
  ])('%s is refused', (name, content, found) => {
    const { values, problems } = read(name, content);
    expect(values).toEqual({});
    expect(problems).toEqual([
      {
        field: `LANEKEEPER_CONFIG (${join(cwd, name)})`,
        found: expect.stringMatching(found),
        wanted: expect.any(String),
        remedy: expect.any(String),
      },
    ]);
  });

  it('a named file must exist; the default one need not', () => {
    expect(readSettingsFile({ LANEKEEPER_CONFIG: 'none.yaml' }, cwd).problems).toMatchObject([
      { found: 'no such file' },
    ]);
    expect(readSettingsFile({ LANEKEEPER_CONFIG: '' }, cwd).problems).toEqual([]);
  });

  it('a folder in its place is not accepted as a file', () => {
    mkdirSync(join(cwd, 'lanekeeper.yaml'));
    expect(readSettingsFile({}, cwd).problems).toMatchObject([
      { field: join(cwd, 'lanekeeper.yaml'), found: 'something that is no file' },
    ]);
  });
});
