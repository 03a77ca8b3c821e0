import { describe, expect, it } from 'vitest';
import { readRetryAfter } from './retry-after.js';

const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);

describe('readRetryAfter', () => {
  it.each<[string, number]>([
    ['0', 0],
    ['1', 1_000],
    ['120', 120_000],
    [' 7 ', 7_000],
    ['007', 7_000],
    ['999999999', 999_999_999_000],
    ['30.5', 30_500],
    ['0.25', 250],
    ['0.0001', 1],
    ['1.0', 1_000],
    ['Mon, 05 Jan 2026 12:00:30 GMT', 30_000],
    ['Monday, 05-Jan-26 12:00:30 GMT', 30_000],
    ['Mon Jan  5 12:00:30 2026', 30_000],
    ['Mon, 05 Jan 2026 12:00:00 GMT', 0],
    ['Sun, 04 Jan 2026 12:00:00 GMT', 0],
    ['Tue, 06 Jan 2026 12:00:00 GMT', 86_400_000],
  ])('%j is %i ms', (value, expected) => expect(readRetryAfter(value, NOW)).toBe(expected));

  it.each([
    undefined,
    '',
    ' ',
    '-1',
    '.5',
    '5.',
    '1,5',
    '1e3',
    '0x10',
    '5 seconds',
    '5s',
    'soon',
    'NaN',
    'Infinity',
    '9999999999',
    '2026-01-05T12:00:30Z',
    'Monday',
    'Monday 5',
    'Mon, 5',
    'Mon, 99 Foo 2026 12:00:30 GMT',
    'Mon, 05 Jan 2026 12:00:30',
    'Mon, 05 Jan 2026 12:00:30 +0500',
    '05 Jan 2026 12:00:30 GMT',
    `Mon, ${'x'.repeat(10_000)}`,
  ])('garbage is no time: %j', (value) => expect(readRetryAfter(value, NOW)).toBeUndefined());
});
