import { describe, expect, it } from 'vitest';
import { createLogger, silentLogger, type Logger, type LogLevel } from './logger.js';

function capture(level: LogLevel = 'debug'): {
  log: Logger;
  lines: () => Record<string, unknown>[];
  raw: () => string;
} {
  let written = '';
  const log = createLogger({ level, service: 'spec', destination: { write: (line) => void (written += line) } });
  const lines = () =>
    written
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, lines, raw: () => written };
}

describe('createLogger', () => {
  it('writes one JSON line with level, time, service, fields and message', () => {
    const { log, lines } = capture();
    log.info({ shard: 3 }, 'shard acquired');
    expect(lines()).toEqual([
      { level: 'info', time: expect.stringMatching(/^\d{4}-.*Z$/), service: 'spec', shard: 3, msg: 'shard acquired' },
    ]);
  });

  it.each<[LogLevel, string[]]>([
    ['trace', ['debug', 'info', 'warn', 'error']],
    ['debug', ['debug', 'info', 'warn', 'error']],
    ['warn', ['warn', 'error']],
    ['error', ['error']],
    ['silent', []],
  ])('level %s writes %j', (level, expected) => {
    const { log, lines } = capture(level);
    for (const method of ['debug', 'info', 'warn', 'error'] as const) log[method]({}, method);
    expect(lines().map((line) => line['level'])).toEqual(expected);
  });

  it('children add their fields, of every generation', () => {
    const { log, lines } = capture();
    log.child({ agent: 'main' }).child({ session: 's' }).warn({ n: 1 }, 'x');
    expect(lines()).toMatchObject([{ agent: 'main', session: 's', n: 1, service: 'spec' }]);
  });

  const thrown = Object.assign(new Error('boom'), { data: 'SECRET', request: { text: 'SECRET' } });
  it.each<[string, object]>([
    ...['text', 'data', 'authorization', 'token', 'password', 'state'].flatMap((key): [string, object][] => [
      [key, { [key]: 'SECRET' }],
      [`a.${key}`, { a: { [key]: { deep: 'SECRET' } } }],
      [`a.b.${key}`, { a: { b: { [key]: 'SECRET' } } }],
      [`a[0].${key}`, { a: [{ [key]: 'SECRET' }] }],
    ]),
    ['err', { err: thrown }],
    ['error', { error: thrown }],
    ['the error itself', thrown],
  ])('redacts %s, in lines and in children', (_title, fields) => {
    const { log, lines, raw } = capture();
    log.error(fields, 'x');
    log.child(fields).error({}, 'x');
    expect(raw()).not.toContain('SECRET');
    expect(raw()).toContain('[redacted]');
    expect(lines()).toHaveLength(2);
  });

  it('leaves the caller’s objects as they are', () => {
    const fields = { a: { text: 'hello' } };
    capture().log.info(fields, 'x');
    expect(fields).toEqual({ a: { text: 'hello' } });
  });

  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  it.each<[string, object]>([
    ['a cycle', circular],
    ['a bigint', { n: 1n }],
    [
      'a getter that throws',
      {
        a: {
          get x(): never {
            throw new Error('no');
          },
        },
      },
    ],
    [
      'toJSON that throws',
      {
        a: {
          toJSON: () => {
            throw new Error('no');
          },
        },
      },
    ],
    ['no prototype', Object.assign(Object.create(null) as object, { n: 1 })],
  ])('never fails its caller: %s', (_title, fields) => {
    const { log, lines } = capture();
    expect(() => log.info(fields, 'still said')).not.toThrow();
    expect(() => log.child(fields).info({}, 'still said')).not.toThrow();
    expect(lines().map((line) => line['msg'])).toEqual(['still said', 'still said']);
  });
});

it('silentLogger is its own child', () => {
  silentLogger.error({}, 'nothing');
  expect(silentLogger.child({})).toBe(silentLogger);
});
