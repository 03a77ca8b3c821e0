import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeConnection } from './connection-file.js';
import { serviceUrl } from './service-url.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lanekeeper-url-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

it('LANEKEEPER_URL wins, without its last slash', () => {
  writeConnection(dir, { natsUrl: 'nats://127.0.0.1:1', httpUrl: 'http://127.0.0.1:2', pid: 1 });
  const env = { LANEKEEPER_DATA_DIR: dir };
  expect(serviceUrl({ ...env, LANEKEEPER_URL: 'https://lanes.example/base/' })).toBe('https://lanes.example/base');
  expect(serviceUrl(env)).toBe('http://127.0.0.1:2');
});

it.each(['here', 'ftp://127.0.0.1/', '127.0.0.1:7070'])('%s is not an address', (url) => {
  expect(() => serviceUrl({ LANEKEEPER_DATA_DIR: dir, LANEKEEPER_URL: url })).toThrow(
    /LANEKEEPER_URL: found no web address/,
  );
});

it('without either the error says what to set', () => {
  expect(() => serviceUrl({ LANEKEEPER_DATA_DIR: dir })).toThrow(/set LANEKEEPER_URL to its address/);
});
