import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeJsonObject, type AcquireAnswer } from '#contracts';
import { expectNothingLeft } from '#testing';
import { PATIENT, startGuards, type Guards } from '../support/guards.js';

let guards: Guards;

beforeAll(async () => {
  guards = await startGuards(3);
});
afterAll(async () => {
  await guards[Symbol.asyncDispose]();
  await expectNothingLeft();
});

/** Over NATS, or over HTTP to one of the replicas: as `n` says. */
async function launch(key: string, n: number, run = `run-${n}`): Promise<AcquireAnswer> {
  const request = { requestId: `${run}/${n}`, runId: run, owner: `caller ${n}` };
  // As a caller over HTTP sees it.
  if (n % 2 === 0)
    return JSON.parse(writeJsonObject(await guards.client.acquire(key, request, PATIENT))) as AcquireAnswer;
  return (await guards.replica((n - 1) / 2).api.acquire(key, request)).body;
}

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

it('concurrent same-key launches produce exactly one running task; duplicate triggers return a deterministic already_running (G1)', async () => {
  const key = 'main/telegram:-100::nightly report';
  const answers = await Promise.all(count(200).map((n) => launch(key, n)));
  const [winner, ...more] = answers.filter(({ kind }) => kind === 'acquired');
  expect(more).toEqual([]);
  const running = await guards.replica(0).api.show(key);
  expect(running).toMatchObject({ state: 'running', attempts: 1, history: [{ what: 'acquired' }] });
  const { runId, startedAt, expiresAt, owner, token } = running ?? {};
  expect(winner).toEqual({ kind: 'acquired', token, startedAt, expiresAt });
  const others = answers.filter((answer) => answer !== winner);
  expect(others).toHaveLength(199);
  const refusal = { kind: 'already_running', runId, startedAt, expiresAt, owner, own: false };
  expect(others).toEqual(others.map(() => refusal));
  for (const { api } of guards.replicas) expect(await api.show(key)).toEqual(running);
  expect((await guards.eventsOf(key, 1)).map(({ type }) => type)).toEqual(['task-acquired']);
});

it('one key of many does not stand in the way of another: each runs once', async () => {
  const keys = count(20).map((n) => `team::task ${n}`);
  const answers = await Promise.all(
    keys.flatMap((key) => count(10).map(async (n) => ({ key, answer: await launch(key, n) }))),
  );
  const won = answers.filter(({ answer }) => answer.kind === 'acquired');
  expect(won.map(({ key }) => key).toSorted()).toEqual(keys.toSorted());
});

it('queue pressure scenarios no longer amplify duplicate task creation: whatever is asked while it runs, and after it is done', async () => {
  const key = 'main/slack:C1::deploy';
  const first = await launch(key, 0, 'run of the trigger');
  for (const wave of count(10)) {
    const answers = await Promise.all(count(20).map((n) => launch(key, 20 * wave + n, `follow-up ${n}`)));
    expect(new Set(answers.map(({ kind }) => kind))).toEqual(new Set(['already_running']));
  }
  if (first.kind !== 'acquired') throw new Error(`the first trigger got ${first.kind}`);
  await guards.client.release(key, { token: first.token, status: 'succeeded', result: { pages: 3 } }, PATIENT);
  // The trigger that comes again late: its run is done, and does not run once more.
  const late = await Promise.all(count(20).map((n) => launch(key, 1_000 + n, 'run of the trigger')));
  expect(late).toEqual(
    late.map(() => ({
      kind: 'done',
      runId: 'run of the trigger',
      endedAt: expect.any(Number),
      result: { pages: 3 },
    })),
  );
  const { history } = (await guards.replica(1).api.show(key)) ?? {};
  expect(history?.map(({ what }) => what)).toEqual(['acquired', 'released']);
});

it('the same launch at once over all replicas is one launch: each copy gets the same token', async () => {
  const request = { requestId: 'one', runId: 'run' };
  const answers = await Promise.all(
    count(30).map(async (n) => (await guards.replica(n).api.acquire('copies', request)).body as AcquireAnswer),
  );
  expect(answers[0]).toMatchObject({ kind: 'acquired' });
  expect(answers).toEqual(answers.map(() => answers[0]));
});

it('tokens grow over holdings and over keys, whichever guard gives them (G4)', async () => {
  const tokens: number[] = [];
  for (const n of count(18)) {
    const key = `growing ${n % 3}`;
    const answer = await launch(key, n);
    if (answer.kind !== 'acquired') throw new Error(`holding ${n} got ${answer.kind}`);
    tokens.push(answer.token);
    const status = n % 2 === 0 ? 'interrupted' : 'succeeded';
    await guards.replica(n + 1).api.release(key, { token: answer.token, status });
  }
  expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
  expect(new Set(tokens).size).toBe(18);
});
