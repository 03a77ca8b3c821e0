import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AcquireAnswer, Outcome } from '#contracts';
import { expectNothingLeft, until } from '#testing';
import { PATIENT, startGuards, type Guards } from '../support/guards.js';

let guards: Guards;

beforeAll(async () => {
  guards = await startGuards(3);
});
afterAll(async () => {
  await guards[Symbol.asyncDispose]();
  await expectNothingLeft();
});

let asked = 0;

async function acquireAt(n: number, key: string, runId: string, more: object = {}): Promise<AcquireAnswer> {
  const request = { requestId: `request ${asked++}`, runId, ...more };
  return (await guards.replica(n).api.acquire(key, request)).body;
}

/** On every replica over HTTP, and over NATS. */
async function acquireEverywhere(key: string, runId: string): Promise<AcquireAnswer[]> {
  const overHttp = await Promise.all(guards.replicas.map((_, n) => acquireAt(n, key, runId)));
  return [...overHttp, await guards.client.acquire(key, { requestId: `request ${asked++}`, runId }, PATIENT)];
}

/** A holding from its begin to its end. */
async function runOnce(key: string, runId: string, status: Outcome, more: object = {}): Promise<void> {
  const answer = await acquireAt(0, key, runId, more);
  if (answer.kind !== 'acquired') throw new Error(`${key} was to be free, and is ${answer.kind}`);
  const { token } = answer;
  const isFailed = status === 'failed';
  const released = await guards.replica(1).api.release(key, {
    ...{ token, status },
    ...(isFailed ? { error: { name: 'LockConflict', message: 'somebody else has the lock' } } : {}),
  });
  expect(released).toMatchObject({ status: 200, body: { kind: 'released' } });
}

async function fiftyAtOnce(key: string, run: string): Promise<AcquireAnswer[]> {
  const launches = Array.from({ length: 50 }, (_, n) => {
    if (n % 2 === 0) return acquireAt(n / 2, key, `${run} ${n}`);
    return guards.client.acquire(key, { requestId: `request ${asked++}`, runId: `${run} ${n}` }, PATIENT);
  });
  return Promise.all(launches);
}

const kindsOf = (answers: readonly AcquireAnswer[]) => Object.groupBy(answers, ({ kind }) => kind);

describe('failed tasks cannot silently auto-retry without explicit approval (G2)', () => {
  it.each(['failed', 'timed_out', 'rejected'] as const)(
    'released as %s: every replica asks for approval, the run that failed included',
    async (status) => {
      const key = `main/s::ends ${status}`;
      await runOnce(key, 'first run', status);
      for (const runId of ['first run', 'second run', 'first run']) {
        const answers = await acquireEverywhere(key, runId);
        expect(answers).toEqual(
          answers.map(() => ({
            ...{ kind: 'approval_required', failedRunId: 'first run', failedAt: expect.any(Number), attempts: 1 },
            error: expect.objectContaining({ name: status === 'failed' ? 'LockConflict' : status }),
          })),
        );
      }
      expect(await guards.replica(2).api.show(key)).toMatchObject({
        ...{ state: 'failed', status, runId: 'first run' },
        history: [{ what: 'acquired' }, { what: 'released', status }],
      });
    },
  );

  it.each(['cancelled', 'interrupted', 'succeeded'] as const)('released as %s: it is free', async (status) => {
    const key = `main/s::ends ${status}`;
    await runOnce(key, 'first run', status);
    expect(await acquireAt(2, key, 'second run')).toMatchObject({ kind: 'acquired' });
  });

  it('a broker that was killed and started again still asks for approval', async () => {
    const key = 'main/s::outlives its broker';
    await runOnce(key, 'first run', 'failed');
    await guards.broker.kill9();
    await guards.broker.restart();
    await Promise.all([
      guards.connection.whenUp(),
      ...guards.replicas.map(({ api }) =>
        until('the guard is ready', async () => (await api.get('/readyz')).status === 200),
      ),
    ]);
    const answers = await acquireEverywhere(key, 'second run');
    expect(Object.keys(kindsOf(answers))).toEqual(['approval_required']);
  });
});

describe('an approval', () => {
  it('lets exactly one of fifty through, and is written down with who and when', async () => {
    const key = 'main/s::approved';
    await runOnce(key, 'first run', 'failed');
    const approved = await guards.replica(0).api.approve(key, 'ana');
    expect(approved).toMatchObject({ status: 200, body: { kind: 'approved', by: 'ana', at: expect.any(Number) } });
    const shown = await guards.replica(1).api.show(key);
    expect(shown).toMatchObject({ state: 'approved', approvedBy: 'ana', approvedAt: approved.body.at });
    const { acquired, already_running: refused } = kindsOf(await fiftyAtOnce(key, 'retry'));
    expect([acquired?.length, refused?.length]).toEqual([1, 49]);
    expect((await guards.replica(2).api.show(key))?.history).toMatchObject([
      { what: 'acquired', runId: 'first run' },
      { what: 'released', status: 'failed' },
      { what: 'approved', by: 'ana', at: approved.body.at },
      { what: 'acquired' },
    ]);
    expect((await guards.eventsOf(key, 4)).filter(({ by }) => by !== undefined)).toMatchObject([
      { type: 'task-approved', by: 'ana', at: approved.body.at },
    ]);
  });

  it('that is given twice before it is used lets no second one through', async () => {
    const key = 'main/s::approved twice';
    await runOnce(key, 'first run', 'failed');
    const first = await guards.replica(0).api.approve(key, 'ana');
    const second = await guards.replica(1).api.approve(key, 'ben');
    const third = await guards.client.approve(key, { by: 'cleo' }, PATIENT);
    expect([second.body, third]).toEqual([first.body, first.body]);
    const [retry, ...more] = kindsOf(await fiftyAtOnce(key, 'retry')).acquired ?? [];
    expect(more).toEqual([]);
    if (retry?.kind !== 'acquired') throw new Error('no retry got it');
    await guards.client.release(key, { token: retry.token, status: 'failed' }, PATIENT);
    const after = await fiftyAtOnce(key, 'third try');
    expect(Object.keys(kindsOf(after))).toEqual(['approval_required']);
    expect(after[0]).toMatchObject({ attempts: 2 });
    const { history } = (await guards.replica(2).api.show(key)) ?? {};
    expect(history?.filter(({ what }) => what === 'approved')).toMatchObject([{ by: 'ana' }]);
  });

  it('of fifty people at once is one approval', async () => {
    const key = 'main/s::approved by all';
    await runOnce(key, 'first run', 'failed');
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => guards.replica(n).api.approve(key, `person ${n}`)),
    );
    expect(answers.map(({ body }) => body)).toEqual(answers.map(() => answers[0]?.body));
    const { history } = (await guards.replica(0).api.show(key)) ?? {};
    expect(history?.filter(({ what }) => what === 'approved')).toHaveLength(1);
  });

  it.each([
    ['of a task that never ran', 404, 'not-found', async () => {}],
    ['of what runs', 409, 'not-waiting', async (key: string): Promise<void> => void (await acquireAt(0, key, 'run'))],
    ['of what is done', 409, 'not-waiting', (key: string) => runOnce(key, 'run', 'succeeded')],
  ] as const)('%s is refused, and changes nothing', async (title, status, code, prepare) => {
    const key = `main/s::approved ${title}`;
    await prepare(key);
    const before = await guards.replica(0).api.show(key);
    expect(await guards.replica(1).api.approve(key, 'ana')).toMatchObject({ status, body: { code } });
    expect(await guards.replica(2).api.show(key)).toEqual(before);
  });

  it('comes too late after its deadline: only an operator’s release frees the task', async () => {
    const key = 'main/s::too late';
    await runOnce(key, 'first run', 'failed', { approvalForMs: 1_000 });
    expect(await acquireAt(0, key, 'second run')).toMatchObject({
      kind: 'approval_required',
      approvableUntil: expect.any(Number),
    });
    await until('every replica says that the time is over', async () => {
      const shown = await Promise.all(guards.replicas.map(({ api }) => api.show(key)));
      return shown.every((task) => task?.state === 'approval_expired');
    });
    const late = await guards.replica(0).api.approve(key, 'ana');
    expect(late).toMatchObject({ status: 409, body: { code: 'not-waiting', state: 'approval_expired' } });
    expect(await guards.client.approve(key, { by: 'ana' }, PATIENT)).toEqual({
      ...{ kind: 'not_waiting', state: 'approval_expired' },
    });
    for (const answer of await acquireEverywhere(key, 'second run')) {
      expect(answer).toMatchObject({ kind: 'approval_required', approvalExpired: true });
    }
    expect((await guards.replica(1).api.list('?state=approval_expired')).tasks).toMatchObject([{ key }]);
    const freed = await guards.replica(2).api.release(key, { by: 'ana' });
    expect(freed).toMatchObject({ status: 200, body: { kind: 'ended', state: 'cancelled' } });
    expect(await acquireAt(0, key, 'second run')).toMatchObject({ kind: 'acquired' });
    expect((await guards.replica(1).api.show(key))?.history).toMatchObject([
      { what: 'acquired' },
      { what: 'released', status: 'failed' },
      { what: 'approval_expired' },
      { what: 'ended', by: 'ana' },
      { what: 'acquired', runId: 'second run' },
    ]);
  });
});
