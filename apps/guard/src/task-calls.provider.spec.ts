import { describe, expect, it } from 'vitest';
import type { AcquireAnswer, TaskOperation } from '#contracts';
import { silentLogger } from '#telemetry';
import { TaskCalls, type TaskGuardPort } from './task-calls.provider.js';

const KEY = 'main/s::deploy';
const acquired: AcquireAnswer = { kind: 'acquired', token: 3, startedAt: 1, expiresAt: 2 };

function callsTo(more: Partial<TaskGuardPort> = {}) {
  const asked: unknown[] = [];
  const note =
    <Answer>(operation: string, answer: Answer) =>
    (...call: unknown[]) => (
      asked.push([operation, ...call.filter((part) => part !== undefined)]),
      Promise.resolve(answer)
    );
  const guard: TaskGuardPort = {
    acquire: note('acquire', acquired),
    renew: note('renew', { kind: 'renewed' as const, expiresAt: 9 }),
    release: note('release', { kind: 'released' as const, state: 'succeeded' as const }),
    approve: note('approve', { kind: 'approved' as const, by: 'ann', at: 1 }),
    end: note('end', { kind: 'ended' as const, state: 'cancelled' as const }),
    ...more,
  };
  return { asked, calls: new TaskCalls(guard, silentLogger) };
}

describe('a request to the guard', () => {
  it.each<[TaskOperation, object, string]>([
    ['acquire', { requestId: 'q', runId: 'r' }, 'acquire'],
    ['renew', { token: 3 }, 'renew'],
    ['release', { token: 3, status: 'succeeded' }, 'release'],
    ['approve-retry', { by: 'ann' }, 'approve'],
    ['end', { by: 'ann', status: 'failed', runId: 'r' }, 'end'],
  ])('%s is executed once', async (operation, request, method) => {
    const { asked, calls } = callsTo();
    expect(await calls.reply(operation, { key: KEY, request })).toMatchObject({ ok: true });
    expect(asked).toEqual([[method, KEY, request]]);
  });

  it('gets the error of a release as a name and a message', async () => {
    const { asked, calls } = callsTo();
    await calls.call('release', KEY, { token: 3, status: 'failed', error: 'two\nlines' });
    const error = { name: 'Error', message: 'two\nlines' };
    expect(asked).toEqual([['release', KEY, { token: 3, status: 'failed', error }]]);
  });

  it.each<[string, unknown, string[]]>([
    ['no JSON', undefined, ['key', 'body']],
    ['null', null, ['key', 'body']],
    ['a text', 'x', ['key', 'body']],
    ['a list', [KEY, { requestId: 'q', runId: 'r' }], ['key', 'body']],
    ['no request', { key: KEY }, ['body: found nothing']],
    ['an empty key', { key: '', request: { requestId: 'q', runId: 'r' } }, ['key']],
    ['a key that is a number', { key: 7, request: { requestId: 'q', runId: 'r' } }, ['key: found the number 7']],
    ['a bound that is a text', { key: KEY, request: {}, validUntil: 'soon' }, ['validUntil: found a text']],
    ['a bound that is null', { key: KEY, request: {}, validUntil: null }, ['validUntil: found null']],
    ['no key', { request: { requestId: 'q', runId: 'r' } }, ['key']],
    ['an invalid key', { key: 'a\n', request: { requestId: 'q', runId: 'r' } }, ['key']],
    ['an unknown field', { key: KEY, request: { requestId: 'q', runId: 'r', ttl: 1 } }, ['ttl']],
    ['a time that is too short', { key: KEY, request: { requestId: 'q', runId: 'r', ttlMs: 5 } }, ['ttlMs']],
  ])('with %s is refused, and the error names the fields', async (_title, call, fields) => {
    const { asked, calls } = callsTo();
    const told = await calls.reply('acquire', call);
    expect(told).toMatchObject({ ok: false, code: 'refused' });
    for (const field of fields) expect(told).toMatchObject({ message: expect.stringContaining(field) });
    expect(asked).toEqual([]);
  });

  it('reports all problems at once', async () => {
    const { calls } = callsTo();
    const called = await calls.call('acquire', '', { requestId: '', extra: 1 });
    expect(called).toMatchObject({ ok: false });
    expect(called.ok ? [] : called.problems.map(({ field }) => field)).toEqual(
      expect.arrayContaining(['key', 'requestId', 'runId', 'extra']),
    );
  });

  it('whose caller gave up long ago is not executed: no worker would work on the task', async () => {
    const { asked, calls } = callsTo();
    const request = { requestId: 'q', runId: 'r' };
    const late = await calls.reply('acquire', { key: KEY, request, validUntil: Date.now() - 6_000 });
    // Not refused for good: the caller may send the same request in time.
    expect(late).toMatchObject({ ok: false, code: 'unavailable', message: expect.stringContaining('clocks') });
    expect(asked).toEqual([]);
    // Clocks differ a little; and a caller without a time limit waits for ever.
    for (const validUntil of [Date.now() - 1_000, undefined]) {
      expect(await calls.reply('acquire', { key: KEY, request, validUntil })).toEqual({ ok: true, answer: acquired });
    }
  });

  it.each(['acquire', 'renew'] as const)('%s tells the guard until when its caller waits', async (operation) => {
    const { asked, calls } = callsTo();
    const validUntil = Date.now() + 1_000;
    const request = operation === 'renew' ? { token: 3 } : { requestId: 'q', runId: 'r' };
    await calls.reply(operation, { key: KEY, request, validUntil });
    expect(asked).toEqual([[operation, KEY, expect.anything(), validUntil + 2_000]]);
  });

  it('that failed gets an answer that allows a repeat', async () => {
    const { calls } = callsTo({ renew: () => Promise.reject(new Error('the broker is away')) });
    const told = await calls.reply('renew', { key: KEY, request: { token: 3 } });
    expect(told).toEqual({ ok: false, code: 'unavailable', message: 'the broker is away' });
    await expect(calls.call('renew', KEY, { token: 3 })).rejects.toThrow('the broker is away');
  });

  it('is awaited before the service stops, and so are requests that come meanwhile', async () => {
    const gates = [Promise.withResolvers<AcquireAnswer>(), Promise.withResolvers<AcquireAnswer>()];
    let at = 0;
    const { calls } = callsTo({ acquire: () => gates[at++]!.promise });
    await calls.whenIdle();
    const first = calls.call('acquire', KEY, { requestId: 'a', runId: 'r' });
    let isIdle = false;
    const idle = calls.whenIdle().then(() => (isIdle = true));
    const second = calls.call('acquire', KEY, { requestId: 'b', runId: 'r' }).catch(() => {});
    gates[0]?.resolve(acquired);
    await first;
    await Promise.resolve();
    expect(isIdle).toBe(false);
    gates[1]?.reject(new Error('no'));
    await second;
    await idle;
  });
});
