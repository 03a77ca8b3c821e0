import { describe, expect, it } from 'vitest';
import { jsonText } from '#contracts';
import { acquire, approve, asOf, end, release, renew } from './task-decisions.js';
import { eventsOf } from './task-events.js';
import { APPROVAL_MS, entryIn, KEY, request, START, TOKEN, TTL_MS } from './tasks.fixture.js';

const OVER = START + TTL_MS;
const ofFirst = { key: KEY, runId: 'r1', token: TOKEN };

describe('the events of a write', () => {
  it('a renewal has none', () => {
    const entry = entryIn('running');
    expect(eventsOf(entry, renew(entry, { token: TOKEN }, START + 1).next!, TOKEN + 1)).toEqual([]);
  });

  it('report a new holding with the revision of its write as token', () => {
    const { next } = acquire(KEY, undefined, request('r1', { owner: 'w/1' }), START);
    expect(eventsOf(undefined, next!, TOKEN)).toEqual([{ type: 'task-acquired', ...ofFirst, owner: 'w/1', at: START }]);
  });

  it('report how it ended, and only the name of its error', () => {
    const entry = entryIn('running', { owner: 'w/1' });
    const error = { name: 'Oops', message: 'SECRET' };
    const failed = release(entry, { token: TOKEN, status: 'failed', error }, START + 1).next!;
    const event = { ...ofFirst, owner: 'w/1', at: START + 1 };
    expect(eventsOf(entry, failed, 8)).toEqual([{ type: 'task-released', ...event, status: 'failed', error: 'Oops' }]);
    const done = release(entry, { token: TOKEN, status: 'succeeded', result: jsonText('SECRET') }, START + 1).next!;
    expect(eventsOf(entry, done, 8)).toEqual([{ type: 'task-released', ...event, status: 'succeeded' }]);
  });

  it('report who approved and who ended it', () => {
    const failed = entryIn('failed');
    const approved = approve(failed, { by: 'ann' }, START + 2).next!;
    expect(eventsOf(failed, approved, 9)).toEqual([{ type: 'task-approved', ...ofFirst, at: START + 2, by: 'ann' }]);
    const ended = end(approved, { by: 'bob' }, START + 3).next!;
    expect(eventsOf(approved, ended, 9)).toEqual([
      { type: 'task-ended', ...ofFirst, at: START + 3, status: 'cancelled', by: 'bob' },
    ]);
  });

  it('report all changes by time in between, each with its own time', () => {
    const entry = entryIn('running', { stale: 'approve', approvalForMs: APPROVAL_MS });
    expect(eventsOf(entry, asOf(entry, OVER + APPROVAL_MS), 8)).toEqual([
      { type: 'task-stale', ...ofFirst, at: OVER },
      { type: 'task-approval_expired', ...ofFirst, at: OVER + APPROVAL_MS },
    ]);
  });

  it('report a healing, and the end of the former holder as its own', () => {
    const entry = entryIn('running', { owner: 'w/1' });
    const { next } = acquire(KEY, entry, request('r2', { owner: 'w/2' }), OVER + 5);
    const second = { key: KEY, runId: 'r2', token: 9, owner: 'w/2', at: OVER + 5 };
    expect(eventsOf(entry, next!, 9)).toEqual([
      { type: 'task-stale', ...ofFirst, owner: 'w/1', at: OVER },
      { type: 'task-acquired', ...second },
      { type: 'task-healed', ...second },
    ]);
  });

  it('report a healing even after a sweep has recorded the end, but not after an approval', () => {
    const types = (former: ReturnType<typeof entryIn>) =>
      eventsOf(former, acquire(KEY, former, request('r2'), OVER + 5).next!, 9).map(({ type }) => type);
    expect(types(entryIn('stale'))).toEqual(['task-acquired', 'task-healed']);
    expect(types(entryIn('approved'))).toEqual(['task-acquired']);
    expect(types(entryIn('cancelled'))).toEqual(['task-acquired']);
  });

  it('report a step that equals a former step of the same millisecond', () => {
    const first = acquire(KEY, undefined, request('r1'), START).next!;
    const ended = release({ ...first, token: 1 }, { token: 1, status: 'cancelled' }, START).next!;
    const second = acquire(KEY, ended, request('r1', { requestId: 'x' }), START).next!;
    expect(eventsOf(ended, second, 3).map(({ type, token }) => [type, token])).toEqual([['task-acquired', 3]]);
  });

  it('are the same when a long history was cut', () => {
    const step = { at: 1, what: 'acquired' as const, runId: 'r0' };
    const entry = { ...entryIn('running'), history: Array.from({ length: 50 }, () => ({ ...step })) };
    const { next } = release(entry, { token: TOKEN, status: 'cancelled' }, START + 1);
    expect(eventsOf(entry, next!, 8).map(({ type }) => type)).toEqual(['task-released']);
  });
});
