import { describe, expect, it } from 'vitest';
import type { TurnHandler } from '#agents';
import { QUEUE_DEFAULTS } from '#contracts';
import type { Batch, TurnPolicy, TurnWork } from '#lanes';
import { settled } from '#testing';
import { AgentRunner } from './agent-runner.js';
import { batchOf, gate, guardedWorker, sessionKey, TASK, TTL_MS, WITHIN_MS } from '../tasks/guard.fixture.js';

const item: Batch['items'][number] = {
  ...{ seq: 1, id: 'm1', storedAtMs: 1, bytes: 1, queueing: QUEUE_DEFAULTS, route: '' },
  content: { ok: true, message: { v: 1, kind: 'message', id: 'm1', text: 'x' } },
};

function runner(handler: TurnHandler, ...options: Parameters<typeof guardedWorker>) {
  const worker = guardedWorker(...options);
  const bound = { handler, policy: {} as TurnPolicy, queueing: () => QUEUE_DEFAULTS, isOutside: false };
  const agents = new AgentRunner(new Map([['main', bound]]), worker.guarded);
  const controller = new AbortController();
  const { signal } = controller;
  const run = (more: Partial<Batch> = {}) => {
    const batch = batchOf({ items: [item], task: { key: TASK }, ...more });
    const work = { key: sessionKey, batch, state: undefined, deadline: 5_000, signal, onOver: () => {} };
    return agents.run(work satisfies TurnWork);
  };
  return { ...worker, agents, run, stop: () => controller.abort(new Error('cancelled')) };
}

const held = (guard: ReturnType<typeof guardedWorker>['guard'], runId: string, ttlMs = 5_000) =>
  guard.acquire(TASK, { requestId: 'x', runId, ttlMs });
const never: TurnHandler = () => Promise.reject(new Error('called'));

describe('AgentRunner with tasks', () => {
  it('a turn has the task of its message, with its fencing token', async () => {
    let seen: unknown;
    const { run } = runner((turn) => ((seen = [turn.task, turn.signal === turn.signal]), 'ok'));
    expect(await run()).toMatchObject({ kind: 'succeeded' });
    expect(seen).toEqual([{ key: TASK, token: 1 }, true]);
  });

  it('a turn without one does not ask the guard, and can acquire its own', async () => {
    const seen: unknown[] = [];
    const { task: _task, ...without } = batchOf({ items: [item] });
    const worker = runner(async (turn) => {
      seen.push(turn.task, worker.guard.asked.length);
      seen.push(await turn.tasks.run('own', ({ key, token }) => ({ key, token })));
    });
    await worker.run({ ...without, task: undefined } as unknown as Batch);
    const own = { key: 'main/telegram:42::own', token: 1 };
    expect(seen).toEqual([undefined, 0, { kind: 'ran', result: own }]);
  });

  it('G1 does not call the handler when the message does not get its task', async () => {
    const { run, guard } = runner(never);
    await held(guard, 'other');
    expect(await run()).toMatchObject({ kind: 'refused', refusal: { reason: 'already_running' } });
    await guard.release(TASK, { token: 1, status: 'failed' });
    expect(await run()).toMatchObject({ kind: 'refused', refusal: { reason: 'approval_required' } });
  });

  it('G1 tells the handler to stop when another run may hold the task, and its success counts as a failure', async () => {
    const end = gate();
    let signal: AbortSignal | undefined;
    const { run, guard, clock } = runner((turn) => ((signal = turn.signal), end.promise));
    const outcome = run();
    await settled();
    expect(signal?.aborted).toBe(false);
    await guard.end(TASK, { by: 'operator' });
    await clock.advance(TTL_MS / 3);
    expect(signal?.aborted).toBe(true);
    end.resolve();
    expect(await outcome).toMatchObject({ kind: 'failed', error: { name: 'task_lost' } });
  });

  it('G1 does the same when the task is not renewed in time', async () => {
    const end = gate();
    const { run, guard, clock } = runner(() => end.promise);
    const outcome = run();
    await settled();
    guard.isAway = true;
    await clock.advance(TTL_MS + WITHIN_MS + 1_000);
    end.resolve();
    expect(await outcome).toMatchObject({ kind: 'failed', error: { name: 'task_lost' } });
  });

  it('delays the turn while no guard answers', async () => {
    const { run, guard, clock } = runner(never);
    guard.isAway = true;
    const outcome = run();
    await clock.advance(WITHIN_MS);
    expect(await outcome).toMatchObject({ kind: 'failed', next: { laterMs: 2_000 } });
  });

  it('runs it unguarded when the settings say so', async () => {
    let seen: unknown = 'not called';
    const { run, guard, clock } = runner((turn) => void (seen = turn.task), { whenUnavailable: 'open' });
    guard.isAway = true;
    const outcome = run();
    await clock.advance(WITHIN_MS);
    expect([(await outcome).kind, seen]).toEqual(['succeeded', undefined]);
  });

  it('delays it until the holding of an earlier attempt ends', async () => {
    const { run, guard, clock } = runner(never);
    await held(guard, 'r', 5_000);
    expect(await run({ attempt: 2 })).toMatchObject({ kind: 'failed', next: { laterMs: 5_100 } });
    await clock.advance(5_100);
    expect(await run({ attempt: 3 })).toMatchObject({ kind: 'failed', error: { message: 'called' } });
  });

  it('calls no handler for a turn that was cancelled while the guard was asked', async () => {
    const { run, guard, clock, stop } = runner(never);
    guard.slowMs = 100;
    const outcome = run();
    stop();
    await clock.advance(100);
    expect(await outcome).toMatchObject({ kind: 'failed', error: { message: 'cancelled' } });
  });

  it('without a guard has no tasks', () => {
    expect(new AgentRunner(new Map()).tasks).toBeUndefined();
  });
});
