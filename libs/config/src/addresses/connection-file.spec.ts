import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConnection, removeConnection, writeConnection } from './connection-file.js';

let root: string;
let dataDir: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'lk-connection-'));
  dataDir = join(root, 'not', 'there', 'yet');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const connection = { natsUrl: 'nats://u:sec-ret@127.0.0.1:4222', httpUrl: 'http://127.0.0.1:7070', pid: 42 };

describe('connection file', () => {
  it('is read as written, is readable by its owner only, and leaves no other files', () => {
    expect(readConnection(dataDir)).toBeUndefined();
    writeConnection(dataDir, connection);
    expect(readConnection(dataDir)).toEqual(connection);
    expect(statSync(join(dataDir, 'connection.json')).mode & 0o777).toBe(0o600);
    expect(readdirSync(dataDir)).toEqual(['connection.json']);
  });

  it('replaces another one, even one that other users could read', () => {
    mkdirSync(dataDir, { recursive: true });
    writeFileSync(join(dataDir, 'connection.json'), 'old', { mode: 0o644 });
    writeConnection(dataDir, { natsUrl: 'nats://b', pid: 1 });
    expect(readConnection(dataDir)).toEqual({ natsUrl: 'nats://b', pid: 1 });
    expect(statSync(join(dataDir, 'connection.json')).mode & 0o777).toBe(0o600);
  });

  it('leaves no temporary file behind when it cannot be written', () => {
    mkdirSync(join(dataDir, 'connection.json', 'in-the-way'), { recursive: true });
    expect(() => writeConnection(dataDir, connection)).toThrow();
    expect(readdirSync(dataDir)).toEqual(['connection.json']);
  });

  it.each([
    ['', 'is no JSON'],
    ['{"natsUrl": "nats://u:sec-ret@h', 'is no JSON'],
    ['[]', 'is no JSON object'],
    ['null', 'is no JSON object'],
    ['{"pid": 1}', 'has no valid natsUrl'],
    ['{"natsUrl": "nats://u:sec-ret@h", "pid": "1"}', 'has no valid pid'],
  ])('%j is a clear error that does not quote the file', (text, what) => {
    mkdirSync(dataDir, { recursive: true });
    writeFileSync(join(dataDir, 'connection.json'), text);
    let error: unknown;
    try {
      readConnection(dataDir);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({
      code: 'connection_file_broken',
      message: expect.stringContaining(`${what}: delete it`),
    });
    expect(String(error)).not.toContain('sec-ret');
  });

  it('ignores keys of a later version', () => {
    mkdirSync(dataDir, { recursive: true });
    writeFileSync(join(dataDir, 'connection.json'), JSON.stringify({ ...connection, extra: 1 }));
    expect(readConnection(dataDir)).toEqual(connection);
  });

  it('is removed; with a pid only when that process wrote it', () => {
    writeConnection(dataDir, connection);
    removeConnection(dataDir, 41);
    expect(readConnection(dataDir)).toEqual(connection);
    removeConnection(dataDir, 42);
    expect(readConnection(dataDir)).toBeUndefined();
    expect(() => removeConnection(dataDir)).not.toThrow();
  });
});
