import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  LanekeeperError,
  OUTCOMES,
  STALE_POLICIES,
  type AcquireRequest,
  type Outcome,
  type StalePolicy,
} from '#contracts';
import { ManualClock } from '#testing';
import { AWAY, FaultyStore } from './faulty-store.fixture.js';
import type { TaskFailure } from '../client/failure-reports.client.js';
import { MemoryTaskStore } from './memory-task-store.js';
import type { TaskEntry } from './task-entry.js';
import { TaskGuard } from './task-guard.js';
import type { StoredTask, TaskStore, WriteOptions } from './task-store.js';

/**
 * Callers that request one task through replicas whose answers from the store get lost, and what both sides saw: every
 * write, in the order of the store, with the request that made it; and what each caller may assume.
 */

const KEY = 'main/s::task';
const CALLERS = 4;
const TTLS = [1_000, 5_000, 20_000] as const;

type Act =
  | {
      readonly do: 'acquire';
      readonly by: number;
      /** With the request of its last acquire. */
      readonly again: boolean;
      /** For its own next attempt, when it assumes that it holds the task. */
      readonly isNext: boolean;
      readonly ttlMs: number;
      readonly stale: StalePolicy;
      readonly doneForMs: number;
      readonly approvalForMs: number | undefined;
    }
  | { readonly do: 'renew'; readonly by: number }
  | { readonly do: 'release'; readonly by: number; readonly status: Outcome }
  /** With any token that was ever answered. */
  | { readonly do: 'old'; readonly nth: number; readonly status: Outcome | undefined }
  | { readonly do: 'approve' }
  /** As the sweep does. */
  | { readonly do: 'settle' }
  | { readonly do: 'end'; readonly status: 'cancelled' | 'failed'; readonly of: number | undefined }
  /** A caller dies, and another one takes its place. `reports`: it failed first, and could reach no guard. */
  | { readonly do: 'crash'; readonly by: number; readonly reports: boolean };

type AcquireAct = Extract<Act, { readonly do: 'acquire' }>;

const by = fc.nat({ max: CALLERS - 1 });
const status = fc.constantFrom(...OUTCOMES);
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('acquire' as const),
      by,
      again: fc.boolean(),
      isNext: fc.boolean(),
      ttlMs: fc.constantFrom(...TTLS),
      stale: fc.constantFrom(...STALE_POLICIES),
      doneForMs: fc.constantFrom(0, 3_000),
      approvalForMs: fc.constantFrom(undefined, undefined, 4_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('renew' as const), by }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), by, status }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('old' as const),
      nth: fc.nat(9),
      status: fc.option(status, { nil: undefined }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Act>({ do: 'approve' }, { do: 'approve' }, { do: 'settle' }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      status: fc.constantFrom('cancelled' as const, 'failed' as const),
      of: fc.option(by, { nil: undefined }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), by, reports: fc.boolean() }) },
);
/** The requests of one moment, and how much time passes before. */
const step = fc.record({
  passMs: fc.constantFrom(0, 0, 1, 500, 1_000, 5_000, 30_000),
  acts: fc.array(act, { minLength: 1, maxLength: 4 }),
});
/** The fate of one store access after another, repeated: `slow` lets other requests go first. */
const luck = fc.array(fc.constantFrom('ok', 'ok', 'ok', 'slow', 'slow', 'unheard', 'lost', 'away'), {
  minLength: 1,
  maxLength: 12,
});

interface Written {
  readonly step: number;
  readonly at: number;
  readonly act: string;
  readonly token: number | undefined;
  readonly former: TaskEntry | undefined;
  readonly next: TaskEntry;
  readonly revision: number;
}

interface Caller {
  runId: string;
  last: AcquireRequest | undefined;
  /** The holding that it assumes to have. */
  holds: { readonly token: number; readonly until: number } | undefined;
}

/** The outcome is unknown: its caller assumes nothing. */
function unlessUnavailable(error: unknown): void {
  if (error !== AWAY && !(error instanceof LanekeeperError)) throw error;
}

class Model {
  readonly clock = new ManualClock();
  readonly written: Written[] = [];
  readonly tokens: number[] = [];
  private readonly store = new MemoryTaskStore(this.clock);
  private readonly answers = new Map<string, string>();
  private readonly callers: Caller[] = Array.from({ length: CALLERS }, (_, i) => this.caller(`c${i}`));
  /** Released, whatever the answer was, or ended by an operator: no caller works under them any more. */
  private readonly over = new Set<number>();
  private readonly failures = new Map<string, TaskFailure>();
  /** Tokens whose failure was stored by the worker, and in which step. */
  private readonly reported = new Map<number, number>();
  private steps = 0;
  private turns = 0;
  private requests = 0;
  isSound = false;

  constructor(private readonly luck: readonly string[]) {}

  async take({ passMs, acts }: { readonly passMs: number; readonly acts: readonly Act[] }): Promise<void> {
    this.clock.standStill(passMs);
    this.steps++;
    await Promise.all(acts.map((one) => this.act(one).catch(unlessUnavailable)));
    this.expectOneHolder();
  }

  /** Whatever has happened: the task can be acquired again, by the means that each state needs (G3). */
  async expectItCanBeHad(): Promise<void> {
    this.isSound = true;
    const { entry } = await this.store.read(KEY);
    if (entry === 'unreadable') throw new Error('unreadable');
    if (entry?.state === 'running') this.clock.standStill(Math.max(0, entry.expiresAt - this.clock.now()));
    const ask = async () => (await this.guard('acquire').acquire(KEY, this.request('last'))).kind;
    const isFailed = entry !== undefined && this.failureOf(entry.runId, entry.token) !== undefined;
    const healed = entry === undefined || (entry.state === 'running' && entry.stale === 'heal' && !isFailed);
    const kind = await ask();
    if (healed || kind === 'acquired') return expect(kind).toBe('acquired');
    expect(kind).toBe('approval_required');
    const { kind: approved } = await this.guard('approve').approve(KEY, { by: 'ann' });
    if (approved === 'not_waiting') await this.guard('end').end(KEY, { by: 'ann' });
    expect(await ask()).toBe('acquired');
    expect(await ask()).toBe('already_running');
  }

  private async act(one: Act): Promise<void> {
    if (one.do === 'approve') return void (await this.guard(one.do).approve(KEY, { by: 'ann' }));
    if (one.do === 'settle') return this.guard(one.do).settleOverdue(KEY);
    if (one.do === 'end') {
      const runId = one.of === undefined ? undefined : this.callers[one.of]?.runId;
      return void (await this.guard(one.do).end(KEY, { by: 'ann', status: one.status, runId }));
    }
    if (one.do === 'old') {
      const token = this.tokens[one.nth % Math.max(1, this.tokens.length)] ?? 99;
      const guard = this.guard(one.status === undefined ? 'renew' : 'release', token);
      if (one.status !== undefined) this.over.add(token);
      await (one.status === undefined
        ? guard.renew(KEY, { token })
        : guard.release(KEY, { token, status: one.status }));
      return;
    }
    const caller = this.callers[one.by];
    if (caller === undefined) return;
    if (one.do === 'crash') {
      if (one.reports && caller.holds !== undefined) this.report(caller.runId, caller.holds.token);
      return void (this.callers[one.by] = this.caller(`${caller.runId}+`));
    }
    if (one.do === 'acquire') return this.acquire(caller, one);
    const { holds } = caller;
    if (holds === undefined) return;
    if (one.do === 'release') {
      this.over.add(holds.token);
      return void (await this.guard('release', holds.token).release(KEY, { token: holds.token, status: one.status }));
    }
    const answer = await this.guard('renew', holds.token).renew(KEY, { token: holds.token });
    if (caller.holds?.token !== holds.token) return;
    caller.holds = answer.kind === 'renewed' ? { ...holds, until: answer.expiresAt } : undefined;
  }

  private report(runId: string, token: number): void {
    this.over.add(token);
    this.failures.set(runId, { runId, token, status: 'failed' });
    this.reported.set(token, this.steps);
  }

  private async acquire(caller: Caller, { again, isNext, do: _do, by: _by, ...how }: AcquireAct): Promise<void> {
    const formerToken = isNext ? caller.holds?.token : undefined;
    const fresh = { ...this.request(caller.runId), ...how, ...(formerToken === undefined ? {} : { formerToken }) };
    const asked = again && caller.last !== undefined ? caller.last : fresh;
    caller.last = asked;
    const answer = await this.guard('acquire', asked.formerToken).acquire(KEY, asked);
    if (answer.kind !== 'acquired') return;
    const begun = this.written.find(({ next, revision }) => next.token === 0 && revision === answer.token);
    expect(begun?.next).toMatchObject({ requestId: asked.requestId, startedAt: answer.startedAt });
    // The same holding gets the same answer, however often it is requested.
    const said = JSON.stringify(answer);
    expect(this.answers.get(`${asked.requestId} ${answer.token}`) ?? said).toBe(said);
    this.answers.set(`${asked.requestId} ${answer.token}`, said);
    this.tokens.push(answer.token);
    if (caller.runId !== asked.runId) return;
    caller.holds = { token: answer.token, until: answer.expiresAt };
  }

  /** A replica of its own per request, so that each write can be matched with the request that made it. */
  private guard(what: string, token?: number): TaskGuard {
    const { clock } = this;
    const store = new FaultyStore(this.witnessed(what, token));
    store.nextFault = () => (this.isSound ? undefined : this.fault());
    return new TaskGuard({
      store,
      clock,
      keepMs: 10_000,
      keepFailedMs: 'unlimited',
      failures: { find: async (_key, { runId, token }) => this.failureOf(runId, token) },
      onEvent: () => {},
    });
  }

  private failureOf(runId: string, token: number): TaskFailure | undefined {
    const failure = this.failures.get(runId);
    return failure?.token === token ? failure : undefined;
  }

  /** Whether a failure of its holding was stored before the step in which `one` was written. */
  wasReportedBefore({ former, step }: Written): boolean {
    return former !== undefined && (this.reported.get(former.token) ?? step) < step;
  }

  private fault(): 'unheard' | 'lost' | 'away' | undefined {
    const next = this.luck[this.turns++ % this.luck.length];
    return next === 'unheard' || next === 'lost' || next === 'away' ? next : undefined;
  }

  private witnessed(what: string, token: number | undefined): TaskStore {
    const { store, clock, written } = this;
    const steps = () => this.steps;
    const others = async () => {
      const isSlow = !this.isSound && this.luck[this.turns % this.luck.length] === 'slow';
      for (let i = 0; i < (isSlow ? 7 : 0); i++) await undefined;
    };
    return {
      async read(key: string): Promise<StoredTask> {
        await others();
        return store.read(key);
      },
      async write(key: string, next: TaskEntry, options: WriteOptions) {
        await others();
        const { entry } = await store.read(key);
        const outcome = await store.write(key, next, options);
        if (outcome.kind === 'written' && entry !== 'unreadable') {
          written.push({
            step: steps(),
            at: clock.now(),
            act: what,
            token,
            former: entry,
            next,
            revision: outcome.revision,
          });
        }
        return outcome;
      },
    };
  }

  private request(runId: string): AcquireRequest {
    return { requestId: `q${this.requests++}`, runId, ttlMs: 5_000 };
  }

  private caller(runId: string): Caller {
    return { runId, last: undefined, holds: undefined };
  }

  /** G1: among the callers that assume to hold it, without those whom an operator has ended. */
  private expectOneHolder(): void {
    for (const { act, former } of this.written) if (act === 'end' && former !== undefined) this.over.add(former.token);
    const held = this.callers.flatMap(({ holds }) => (holds === undefined ? [] : [holds]));
    const holding = held.filter(({ token, until }) => until > this.clock.now() && !this.over.has(token));
    expect(new Set(holding.map(({ token }) => token)).size).toBeLessThanOrEqual(1);
  }
}

/** Whether a new holding may replace this entry. */
function mayBegin(former: TaskEntry | undefined, now: number): boolean {
  switch (former?.state) {
    case 'running':
      return former.expiresAt <= now && former.stale === 'heal';
    case 'stale':
      return former.stale === 'heal';
    case 'failed':
    case 'approval_expired':
      return false;
    case 'succeeded':
    case 'cancelled':
    case 'approved':
    case undefined:
      return true;
  }
}

describe('guards whose answers get lost', () => {
  it('keep G1 to G4, for any requests in any order', async () => {
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(luck, fc.array(step, { minLength: 1, maxLength: 12 }), async (luck, steps) => {
        const model = new Model(luck);
        for (const one of steps) await model.take(one);
        await model.expectItCanBeHad();
        let token = 0;
        for (const one of model.written) {
          const { at, act, token: used, former, next, revision } = one;
          const way = `${former?.state ?? 'none'} ${act} ${next.state}`;
          seen.set(way, (seen.get(way) ?? 0) + 1);
          if (next.token === 0) {
            // A holding begins: G1 and G2, and G4 by the order of the tokens.
            const isNext = former?.state === 'running' && used === former.token && next.runId === former.runId;
            if (isNext) seen.set('next attempt', (seen.get('next attempt') ?? 0) + 1);
            expect([way, act, isNext || mayBegin(former, at)]).toEqual([way, 'acquire', true]);
            // A failure that no guard could be told of counts like any other failure (G2).
            if (former?.state === 'running' || former?.state === 'stale')
              expect(model.wasReportedBefore(one)).toBe(false);
            expect(revision).toBeGreaterThan(token);
            token = revision;
            continue;
          }
          expect(next.token).toBe(former?.token);
          // The guard records it at the next request, even at one with the token of a former holding.
          if (next.state === 'failed' && model.wasReportedBefore({ ...one, step: one.step + 1 })) {
            seen.set('reported', (seen.get('reported') ?? 0) + 1);
            continue;
          }
          if (act === 'renew' || act === 'release') expect([way, used]).toEqual([way, former?.token]);
          if (next.state === 'approved') expect(act).toBe('approve');
          if (former?.state === 'failed' || former?.state === 'approval_expired') {
            expect(['approve', 'end', 'settle']).toContain(act);
          }
        }
      }),
      { numRuns: 2_000 },
    );
    // An invariant that is never tested always holds: these transitions must have occurred.
    for (const way of [
      ...['none acquire running', 'running acquire running', 'stale acquire running', 'approved acquire running'],
      ...['running renew running', 'running release failed', 'stale release failed', 'running settle stale'],
      ...[
        'failed approve approved',
        'running approve approved',
        'failed settle approval_expired',
        'running end failed',
        'reported',
        'next attempt',
      ],
    ]) {
      expect(seen.get(way) ?? 0, way).toBeGreaterThan(5);
    }
  });
});
