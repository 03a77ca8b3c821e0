import { describe, expect, it } from 'vitest';
import { checkRules } from './settings-rules.js';
import { settingsSchema } from './settings.js';

describe('a host that is not loopback is refused', () => {
  it.each([
    ['127.0.0.1', true],
    ['127.255.0.9', true],
    ['::1', true],
    ['0:0:0:0:0:0:0:1', true],
    ['localhost', true],
    ['LOCALHOST', true],
    ['0.0.0.0', false],
    ['::', false],
    ['128.0.0.1', false],
    ['192.168.1.1', false],
    ['::2', false],
    ['127.0.0.1.example.com', false],
    ['localhost.example.com', false],
    ['example.com', false],
  ])('%s: %s', (host, allowed) => {
    expect(checkRules(settingsSchema.parse({ http: { host } }))).toHaveLength(allowed ? 0 : 1);
  });
});

describe('a worker pool', () => {
  const problems = (workerPool: object, shards = 64) =>
    checkRules(settingsSchema.parse({ shards, gateway: { workerPool } })).map(({ found }) => found);

  it('has room for its minimum of workers', () => {
    expect(problems({})).toEqual([]);
    expect(problems({ minWorkers: 3, maxWorkers: 3 })).toEqual([]);
    expect(problems({ minWorkers: 3, maxWorkers: 2 })).toEqual(['2 with minWorkers 3']);
    expect(problems({ minWorkers: 6 })).toEqual(['5 with minWorkers 6']);
  });

  it('has a shard for each of its workers', () => {
    expect(problems({ maxWorkers: 16 }, 16)).toEqual([]);
    expect(problems({ maxWorkers: 17 }, 16)).toEqual(['17 with 16 shards']);
  });
});
