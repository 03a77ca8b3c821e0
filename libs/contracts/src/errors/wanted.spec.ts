import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { CheckedBody } from './body-check.js';
import {
  checkChannelMessageBody,
  checkSendMessageBody,
  channelMessageBody,
  parseInboxEntry,
} from '../message/message.js';
import { describeValue } from './describe-value.js';
import { showValue } from './show-value.js';
import { checkTaskRequest, TASK_REQUESTS, type TaskOperation } from '../message/task-guard.js';
import { inOurWords } from './wanted.js';

/** zod's own words, which no problem may contain. */
const NOT_OURS = /invalid|expected|too (big|small)|unrecognized|must |zod|undefined/i;

const VALUES: readonly unknown[] = [
  ...[null, true, 0, -1, 1.5, 5, 1e300, '', 'x', '3 seconds', 'ä\n\u202E', 'x'.repeat(1_000)],
  ...[[], ['x'], [[]], {}, { a: 1 }, { id: 5 }, { name: 5 }, { message: [] }],
];

type Check = (body: object) => CheckedBody<unknown>;
const CHECKS: readonly (readonly [string, Check, readonly string[]])[] = [
  ['a message', checkSendMessageBody, Object.keys(channelMessageBody.shape)],
  ['a message by its place', checkChannelMessageBody, Object.keys(channelMessageBody.shape)],
  ...(Object.keys(TASK_REQUESTS) as TaskOperation[]).map(
    (name) =>
      [
        `task ${name}`,
        (body) => checkTaskRequest(name, body),
        Object.keys(TASK_REQUESTS[name].shape),
      ] as const satisfies [string, Check, string[]],
  ),
];

describe('problems of a body use our words, and name the kind of value that was found', () => {
  it.each(CHECKS)('for each field of %s, with any JSON as its value', (_what, check, fields) => {
    let refused = 0;
    for (const field of fields) {
      for (const value of VALUES) {
        const checked = check({ text: 'x', channel: 'a:b', [field]: value });
        for (const problem of checked.ok ? [] : checked.problems) {
          refused++;
          const told = `${problem.field}: ${problem.wanted}; ${problem.remedy ?? ''}`;
          expect(told, JSON.stringify(value)).not.toMatch(NOT_OURS);
          if (problem.field === field) expect(problem.found, told).toBe(describeValue(value));
        }
      }
    }
    expect(refused).toBeGreaterThan(fields.length * 3);
  });

  it('for a body that is not an object', () => {
    for (const value of VALUES) {
      for (const [, check] of CHECKS) {
        const checked = check(value as object);
        for (const { wanted } of checked.ok ? [] : checked.problems) expect(wanted).not.toMatch(NOT_OURS);
      }
    }
  });

  it('for an author that is not an object, and for an invalid time', () => {
    expect(checkSendMessageBody({ text: 'x', author: 'ann' })).toMatchObject({
      problems: [{ field: 'author', found: 'a text of 3 bytes', wanted: 'an object {id, name?}' }],
    });
    expect(checkSendMessageBody({ text: 'x', sentAt: 'today', replyTo: 'x' })).toMatchObject({
      problems: [
        { field: 'replyTo', found: 'a text of 1 bytes', wanted: 'an http:// or https:// URL' },
        { field: 'sentAt', found: 'a text of 5 bytes', wanted: expect.stringContaining('2026-11-21T12:00:00Z') },
      ],
    });
  });

  it('for an entry of the inbox, without the found value: records and logs contain the problem', () => {
    const entry = { v: 1, kind: 'message', id: 'm', text: 'x' };
    for (const field of Object.keys(channelMessageBody.shape)) {
      for (const value of VALUES) {
        const parsed = parseInboxEntry(JSON.stringify({ ...entry, [field]: value }));
        if (!parsed.ok) expect(parsed.problem).not.toMatch(NOT_OURS);
        if (!parsed.ok) expect(parsed.problem).not.toContain('3 seconds');
      }
    }
  });
});

it('has words for each kind of check', () => {
  const wanted = (schema: z.ZodType, value: unknown): string =>
    schema.safeParse(value, { error: inOurWords }).error?.issues[0]?.message ?? '';
  expect([
    wanted(z.string(), 1),
    wanted(z.int(), 1.5),
    wanted(z.number().max(3), 4),
    wanted(z.string().max(3), 'four'),
    wanted(z.string().min(1), ''),
    wanted(z.array(z.string()).max(1), ['a', 'b']),
    wanted(z.enum(['a', 'b']), 'c'),
    wanted(z.literal(1), 2),
    wanted(z.url(), 'x'),
    wanted(z.strictObject({}), { a: 1 }),
    wanted(z.number().multipleOf(2), 3),
    wanted(z.boolean(), 1),
  ]).toEqual([
    'a text',
    'a whole number',
    'a number of at most 3',
    'a text of at most 3 characters',
    'a text that is not empty',
    'a list of at most 1 entries',
    'one of a, b',
    '1',
    'an http:// or https:// URL',
    'no field called a',
    'a multiple of 2',
    'true or false',
  ]);
});

describe('a value as it is shown', () => {
  it('is shown in full when it is short, and cut when it is long', () => {
    expect(showValue('3 seconds')).toBe('"3 seconds"');
    expect(showValue('x'.repeat(41))).toBe(`"${'x'.repeat(40)}…", a text of 41 bytes`);
    expect([showValue(''), showValue(5), showValue(null), showValue(['a']), showValue({})]).toEqual([
      ...['an empty text', 'the number 5', 'null', 'an array of 1', 'an object'],
    ]);
  });

  it('breaks no line, hides nothing, and is well-formed', () => {
    const shown = showValue('a\nb\u202Ec\u0000\u2028\uD83D');
    expect(shown).toBe('"a\u{FFFD}b\u{FFFD}c\u{FFFD}\u{FFFD}\u{FFFD}"');
    expect(showValue('\u{1F600}'.repeat(30)).isWellFormed()).toBe(true);
  });
});
