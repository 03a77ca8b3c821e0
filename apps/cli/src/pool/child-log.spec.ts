import { expect, it } from 'vitest';
import { passLogLine } from './child-log.js';
import { ListLog } from './pool.fixture.js';

it('a child’s line becomes one of ours: its level, its text and its fields', () => {
  const log = new ListLog();
  const line = { level: 'warn', time: '2026-11-21T00:00:00.000Z', service: 'worker', owned: 32, msg: 'shards' };
  expect(passLogLine(JSON.stringify(line), log)).toBe(true);
  expect(passLogLine(JSON.stringify({ level: 'fatal', msg: 'x' }), log)).toBe(true);
  expect(log.lines).toEqual([
    { level: 'warn', message: 'shards', fields: { owned: 32 } },
    { level: 'error', message: 'x', fields: {} },
  ]);
});

it.each([
  '',
  'Error: boom',
  '    at a.js:1:1',
  '{',
  'null',
  '{"level":"info"}',
  '{"msg":"x"}',
  '{"level":"toString","msg":"x"}',
])('what is no line of a log is left to others: %j', (line) => {
  const log = new ListLog();
  expect([passLogLine(line, log), log.lines]).toEqual([false, []]);
});
