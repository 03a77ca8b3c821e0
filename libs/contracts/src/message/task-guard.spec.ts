import { describe, expect, it } from 'vitest';
import { jsonText } from '../json/json-text.js';
import { OUTCOMES } from '../record/decisions.js';
import { describeProblem } from '../errors/errors.js';
import { checkTaskRequest, TASK_LIMITS, type TaskOperation } from './task-guard.js';

const DAY_MS = 86_400_000;

/** The smallest valid request of each operation. */
const LEAST = {
  acquire: { requestId: 'q', runId: 'r' },
  renew: { token: 1 },
  release: { token: 1, status: 'succeeded' },
  'approve-retry': { by: 'ann' },
  end: { by: 'ann' },
} as const;
const OPERATIONS = Object.keys(LEAST) as TaskOperation[];

function problemsOf(operation: TaskOperation, body: unknown) {
  const checked = checkTaskRequest(operation, body);
  if (checked.ok) throw new Error('expected a problem');
  expect(checked.tooLarge).toBe(false);
  return checked.problems;
}

const nested = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels));
/** A value that has so many bytes as JSON. */
const jsonOf = (bytes: number): string => 'x'.repeat(bytes - 2);

describe('a request', () => {
  it.each(OPERATIONS)('%s accepts the smallest request, unchanged', (operation) => {
    expect(checkTaskRequest(operation, LEAST[operation])).toEqual({ ok: true, body: LEAST[operation] });
  });

  it.each<[TaskOperation, string, unknown]>([
    ['acquire', 'requestId', 'q'.repeat(TASK_LIMITS.requestIdChars)],
    ['acquire', 'runId', 'r'.repeat(TASK_LIMITS.runIdChars)],
    ['acquire', 'runId', 'ä/b::c \u{1F600}'],
    ['acquire', 'owner', 'o'.repeat(TASK_LIMITS.ownerChars)],
    ['acquire', 'ttlMs', 1_000],
    ['acquire', 'ttlMs', DAY_MS],
    ['acquire', 'stale', 'heal'],
    ['acquire', 'stale', 'approve'],
    ['acquire', 'meta', null],
    ['acquire', 'meta', jsonOf(TASK_LIMITS.metaBytes)],
    ['acquire', 'meta', { a: [1, 'x', { b: false }] }],
    ['acquire', 'doneForMs', 0],
    ['acquire', 'doneForMs', DAY_MS],
    ['acquire', 'approvalForMs', 1_000],
    ['acquire', 'approvalForMs', 365 * DAY_MS],
    ['renew', 'token', Number.MAX_SAFE_INTEGER],
    ['renew', 'ttlMs', 1_000],
    ['renew', 'ttlMs', DAY_MS],
    ...OUTCOMES.map((status): [TaskOperation, string, unknown] => ['release', 'status', status]),
    ['release', 'error', { name: 'n'.repeat(TASK_LIMITS.errorNameChars), message: '' }],
    ['release', 'error', { name: 'Error', message: 'm'.repeat(TASK_LIMITS.errorMessageChars) }],
    ['release', 'error', { name: 'Error', message: 'first line\nsecond line' }],
    ['release', 'result', jsonOf(TASK_LIMITS.resultBytes)],
    ['release', 'result', null],
    ['approve-retry', 'by', 'b'.repeat(TASK_LIMITS.byChars)],
    ['end', 'by', 'b'.repeat(TASK_LIMITS.byChars)],
    ['end', 'status', 'cancelled'],
    ['end', 'status', 'failed'],
    ['end', 'runId', 'r'.repeat(TASK_LIMITS.runIdChars)],
    ['end', 'error', { name: 'Error', message: 'why' }],
  ])('%s accepts %s at its limit: %j', (operation, field, value) => {
    const body = { ...LEAST[operation], [field]: value };
    const isCarried = field === 'meta' || field === 'result';
    const taken = isCarried ? { ...body, [field]: jsonText(value) } : body;
    expect(checkTaskRequest(operation, body)).toEqual({ ok: true, body: taken });
  });

  it.each<['release' | 'end', string]>([
    ['release', 'first line\nsecond line'],
    ['release', 'm'.repeat(TASK_LIMITS.errorMessageChars)],
    ['end', ''],
  ])('%s accepts a text as an error, with the name Error', (operation, message) => {
    const body = { ...LEAST[operation], error: { name: 'Error', message } };
    expect(checkTaskRequest(operation, { ...LEAST[operation], error: message })).toEqual({ ok: true, body });
  });

  const durations = 'whole milliseconds from';
  const line = 'without control characters';
  const outcomes = 'one of succeeded, failed, cancelled, timed_out, interrupted, rejected';

  it.each<[TaskOperation, string, unknown, string, string]>([
    ['acquire', 'requestId', undefined, 'nothing', line],
    ['acquire', 'requestId', '', 'an empty text', 'a text of 1 to 128 characters'],
    ['acquire', 'requestId', 'q'.repeat(129), 'a text of 129 bytes', 'a text of 1 to 128 characters'],
    ['acquire', 'requestId', 'SECRET\n', 'a text of 7 bytes', line],
    ['acquire', 'requestId', 7, 'the number 7', line],
    ['acquire', 'runId', undefined, 'nothing', line],
    ['acquire', 'runId', 'r'.repeat(2_049), 'a text of 2049 bytes', 'a text of 1 to 2048 characters'],
    ['acquire', 'runId', null, 'null', line],
    ['acquire', 'runId', 'SECRET\0', 'a text of 7 bytes', line],
    ['acquire', 'runId', 'SECRET\ud800', 'a text of 9 bytes', line],
    ['acquire', 'runId', 'SECRET\u0085', 'a text of 8 bytes', line],
    ['acquire', 'owner', 'o'.repeat(2_049), 'a text of 2049 bytes', 'a text of 1 to 2048 characters'],
    ['acquire', 'owner', '', 'an empty text', line],
    ['acquire', 'owner', null, 'null', line],
    ['acquire', 'owner', { name: 'SECRET' }, 'an object', line],
    ...[0, -1, 1.5, 1e12].map((ttlMs): [TaskOperation, string, unknown, string, string] => [
      ...(['acquire', 'ttlMs', ttlMs, `the number ${ttlMs}`, `${durations} 1000 to 86400000`] as const),
    ]),
    ['acquire', 'ttlMs', 999, 'the number 999', `${durations} 1000 to 86400000`],
    ['acquire', 'ttlMs', DAY_MS + 1, 'the number 86400001', `${durations} 1000 to 86400000`],
    ['acquire', 'ttlMs', 1_000.5, 'the number 1000.5', durations],
    ['acquire', 'ttlMs', '5s', 'a text of 2 bytes', durations],
    ['acquire', 'ttlMs', '5000', 'a text of 4 bytes', durations],
    ['acquire', 'ttlMs', [5_000], 'an array of 1', durations],
    ['acquire', 'ttlMs', null, 'null', durations],
    ['acquire', 'stale', 'SECRET', 'a text of 6 bytes', 'one of heal, approve'],
    ['acquire', 'stale', null, 'null', 'one of heal, approve'],
    ['acquire', 'meta', jsonOf(TASK_LIMITS.metaBytes + 1), 'a text of 8191 bytes', 'any JSON of at most 8192 bytes'],
    ['acquire', 'meta', 'é'.repeat(4_096), 'a text of 8192 bytes', 'any JSON of at most 8192 bytes'],
    ['acquire', 'doneForMs', -1, 'the number -1', `${durations} 0 to 86400000`],
    ['acquire', 'doneForMs', 365 * DAY_MS, 'the number 31536000000', `${durations} 0 to 86400000`],
    ['acquire', 'approvalForMs', 0, 'the number 0', durations],
    ['acquire', 'doneForMs', DAY_MS + 1, 'the number 86400001', `${durations} 0 to 86400000`],
    ['acquire', 'approvalForMs', 999, 'the number 999', `${durations} 1000 to 31536000000`],
    ['acquire', 'approvalForMs', 365 * DAY_MS + 1, 'the number 31536000001', durations],
    ['renew', 'token', undefined, 'nothing', 'the token that acquire answered'],
    ['renew', 'token', 0, 'the number 0', 'the token that acquire answered'],
    ['renew', 'token', 1.5, 'the number 1.5', 'the token that acquire answered'],
    ['renew', 'token', 2 ** 53, 'the number 9007199254740992', 'the token that acquire answered'],
    ['renew', 'token', '1', 'a text of 1 bytes', 'the token that acquire answered'],
    ['renew', 'token', -3, 'the number -3', 'the token that acquire answered'],
    ['renew', 'token', null, 'null', 'the token that acquire answered'],
    ['renew', 'ttlMs', 0, 'the number 0', `${durations} 1000 to 86400000`],
    ['release', 'token', '1', 'a text of 1 bytes', 'the token that acquire answered'],
    ['release', 'token', null, 'null', 'the token that acquire answered'],
    ['release', 'status', 'FAILED', 'a text of 6 bytes', outcomes],
    ['release', 'status', 1, 'the number 1', outcomes],
    ['renew', 'ttlMs', 999, 'the number 999', `${durations} 1000 to 86400000`],
    ['renew', 'ttlMs', DAY_MS + 1, 'the number 86400001', `${durations} 1000 to 86400000`],
    ['release', 'token', -1, 'the number -1', 'the token that acquire answered'],
    ['release', 'status', undefined, 'nothing', outcomes],
    ['release', 'status', 'SECRET', 'a text of 6 bytes', outcomes],
    ['release', 'error', 5, 'the number 5', 'a text of at most 2000 characters, or {name, message}'],
    ['release', 'error', 'm'.repeat(2_001), 'a text of 2001 bytes', 'a text of at most 2000 characters'],
    ['release', 'result', jsonOf(TASK_LIMITS.resultBytes + 1), 'a text of 65535 bytes', 'JSON of at most 65536 bytes'],
    ['approve-retry', 'by', undefined, 'nothing', 'a text of 1 to 256 characters'],
    ['approve-retry', 'by', '', 'an empty text', line],
    ['approve-retry', 'by', 7, 'the number 7', 'a text of 1 to 256 characters'],
    ['end', 'by', '', 'an empty text', line],
    ['end', 'runId', 1, 'the number 1', 'a text of 1 to 2048 characters'],
    ['approve-retry', 'by', 'b'.repeat(257), 'a text of 257 bytes', 'a text of 1 to 256 characters'],
    ['approve-retry', 'by', 'SECRET\r', 'a text of 7 bytes', line],
    ['end', 'by', undefined, 'nothing', 'a text of 1 to 256 characters'],
    ['end', 'status', 'succeeded', 'a text of 9 bytes', 'cancelled or failed'],
    ['end', 'runId', 'r'.repeat(2_049), 'a text of 2049 bytes', 'a text of 1 to 2048 characters'],
    ['end', 'runId', '', 'an empty text', line],
    ['end', 'error', 'm'.repeat(2_001), 'a text of 2001 bytes', 'a text of at most 2000 characters'],
  ])('%s refuses %s with its field, without its content: %j', (operation, field, value, found, wanted) => {
    const problems = problemsOf(operation, { ...LEAST[operation], [field]: value });
    expect(problems).toEqual([{ field, found, wanted: expect.stringContaining(wanted) }]);
    expect(problems.map(describeProblem).join()).not.toContain('SECRET');
  });

  it.each<[object, string, string, string]>([
    [{ name: '', message: 'm' }, 'error.name', 'an empty text', 'a text of 1 to 100 characters'],
    [{ name: 'n'.repeat(101), message: 'm' }, 'error.name', 'a text of 101 bytes', 'a text of 1 to 100 characters'],
    [{ name: 'SECRET\n', message: 'm' }, 'error.name', 'a text of 7 bytes', line],
    [{ name: 'n', message: 'm'.repeat(2_001) }, 'error.message', 'a text of 2001 bytes', 'at most 2000 characters'],
    [{ name: 'n' }, 'error.message', 'nothing', 'at most 2000 characters'],
    [{ name: 'n', message: ['SECRET'] }, 'error.message', 'an array of 1', 'at most 2000 characters'],
  ])('says what is wrong inside an error: %j', (error, field, found, wanted) => {
    const problems = problemsOf('release', { ...LEAST.release, error });
    expect(problems).toEqual([{ field, found, wanted: expect.stringContaining(wanted) }]);
    expect(problems.map(describeProblem).join()).not.toContain('SECRET');
  });

  it.each(OPERATIONS)('%s refuses a value that is not an object', (operation) => {
    for (const [body, found] of [
      ['SECRET', 'a text of 6 bytes'],
      [['SECRET'], 'an array of 1'],
      [null, 'null'],
      [undefined, 'nothing'],
      [true, 'the boolean true'],
    ]) {
      const problems = problemsOf(operation, body);
      expect(problems).toMatchObject([{ field: 'body', found }]);
      expect(JSON.stringify(problems)).not.toContain('SECRET');
    }
  });

  it.each<[TaskOperation, object, string, string, string]>([
    ['acquire', { ttl: 'SECRET' }, 'ttl', 'did you mean ttlMs?', 'requestId, runId, owner, ttlMs'],
    ['acquire', { colour: 'SECRET' }, 'colour', 'leave colour out', 'requestId, runId, owner, ttlMs'],
    ['acquire', { ttlMS: 5_000 }, 'ttlMS', 'did you mean ttlMs?', 'requestId, runId, owner, ttlMs'],
    ['acquire', { onwer: 'SECRET' }, 'onwer', 'did you mean owner?', 'requestId, runId, owner, ttlMs'],
    ['acquire', { token: 1 }, 'token', 'leave token out', 'requestId, runId, owner, ttlMs'],
    ['renew', { runId: 'SECRET' }, 'runId', 'leave runId out', 'one of token, ttlMs'],
    ['release', { state: 'SECRET' }, 'state', 'did you mean status?', 'one of token, status, error, result'],
    ['end', { result: 1 }, 'result', 'leave result out', 'one of by, status, runId, error'],
    [
      'release',
      { error: { name: 'E', message: 'x', stack: 'SECRET' } },
      'error.stack',
      'leave stack out',
      'name, message',
    ],
    ['acquire', { error: 'SECRET' }, 'error', 'leave error out', 'requestId, runId, owner, ttlMs'],
    ['renew', { Token: 1 }, 'Token', 'did you mean token?', 'one of token, ttlMs'],
    ['release', { outcome: 'SECRET' }, 'outcome', 'leave outcome out', 'one of token, status, error, result'],
    ['approve-retry', { token: 1 }, 'token', 'leave token out', 'one of by'],
    ['end', { token: 1 }, 'token', 'leave token out', 'one of by, status, runId, error'],
    [
      'release',
      { error: { name: 'n', message: 'm', mesage: 'SECRET' } },
      'error.mesage',
      'did you mean message?',
      'name, message',
    ],
  ])('%s refuses an unknown field and names the nearest: %j', (operation, fields, field, remedy, wanted) => {
    const problems = problemsOf(operation, { ...LEAST[operation], ...fields });
    expect(problems).toEqual([{ field, found: 'an unknown field', wanted: expect.stringContaining(wanted), remedy }]);
    expect(JSON.stringify(problems)).not.toContain('SECRET');
  });

  it.each<[TaskOperation, string]>([
    ['acquire', 'meta'],
    ['release', 'result'],
  ])('%s refuses a %s that is nested too deeply', (operation, field) => {
    const problem = { field, found: 'a value nested too deeply', wanted: 'fewer levels of arrays and objects' };
    expect(problemsOf(operation, { ...LEAST[operation], [field]: nested(100_000) })).toEqual([problem]);
  });

  it('lists a misspelt field together with the missing one', () => {
    const problems = problemsOf('acquire', { requestId: 'q', runid: 'SECRET' });
    expect(problems.map(describeProblem).join()).toContain('did you mean runId?');
    expect(problemsOf('acquire', {}).map(({ field }) => field)).toEqual(['requestId', 'runId']);
  });

  it('lists every problem at once', () => {
    const problems = problemsOf('acquire', { requestId: '', ttlMs: 5, stale: 'x', foo: 1 });
    expect(problems.map(({ field }) => field).toSorted()).toEqual(['foo', 'requestId', 'runId', 'stale', 'ttlMs']);
  });
});
