import { afterEach, describe, expect, it } from 'vitest';
import type { AcquireAnswer, TaskStep } from '#contracts';
import { GuardUnavailableError } from '#guards';
import { expectNothingLeft, until } from '#testing';
import type { ApiAnswer } from '../support/api-client.js';
import { PATIENT, startGuards, type Guards, type TaskApi } from '../support/guards.js';
import { overlaps, wholeHistory, wrongSteps, type Holding } from '../support/task-history.js';

afterEach(expectNothingLeft);

const KEYS = ['main/s::a', 'main/s::b', 'team::c', 'd'];
const CALLERS = 12;
const IMPATIENT = { withinMs: 700 };
const STATUSES = ['failed', 'succeeded', 'failed', 'interrupted'] as const;

/** The callers of a test, and what they have seen. */
class Load {
  readonly holdings: Holding[] = [];
  /** Who has approved and was told so. */
  readonly approvals: { readonly key: string; readonly by: string }[] = [];
  /** Holders who were told that they are none. */
  readonly robbed: string[] = [];
  /** Tries over HTTP that came to nothing, and calls over NATS that failed at their bound. */
  lost = 0;
  readonly unavailable: unknown[] = [];
  readonly impatient: string[] = [];
  private order = 0;
  private number = 0;
  private isOver = false;
  private readonly loops: Promise<void>[];

  constructor(private readonly guards: Guards) {
    this.loops = [
      ...Array.from({ length: CALLERS }, (_, n) => this.repeat(() => this.work(n))),
      this.repeat(() => this.askBriefly()),
    ];
  }

  /** Resolves when each of the keys had so many more holdings. */
  async more(count: number): Promise<void> {
    const counts = () => KEYS.map((key) => this.holdings.filter((holding) => holding.key === key).length);
    const before = counts();
    await until(`each key had ${count} more holdings`, () =>
      counts().every((now, i) => now >= (before[i] ?? 0) + count),
    );
  }

  /** Resolves when each call was answered or has failed. */
  async end(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.loops);
  }

  private async repeat(once: () => Promise<void>): Promise<void> {
    while (!this.isOver) await once();
  }

  /** One round of a caller: get the task and give it back, or approve it when that is what it needs. */
  private async work(caller: number): Promise<void> {
    const key = KEYS[caller % KEYS.length] ?? '';
    const isOverNats = caller % 3 === 0;
    const id = `${caller}/${this.number++}`;
    const request = { requestId: id, runId: `run ${id}` };
    const { client } = this.guards;
    const answer = isOverNats
      ? await client.acquire(key, request, PATIENT)
      : ((await this.post((api) => api.acquire(key, request))).body as AcquireAnswer);
    if (answer.kind === 'approval_required') return this.approve(key, `person ${id}`, isOverNats);
    if (answer.kind !== 'acquired') return;
    const { token } = answer;
    const from = this.order++;
    const history = await this.historyOf(key);
    const renewed = isOverNats
      ? (await client.renew(key, { token }, PATIENT)).kind
      : (await this.post((api) => api.renew(key, { token }))).body.kind;
    if (renewed !== 'renewed') this.robbed.push(`${request.runId} held ${key} and could not renew it: ${renewed}`);
    this.holdings.push({ key, token, runId: request.runId, from, to: this.order++, history });
    const end = { token, status: STATUSES[this.number % STATUSES.length] ?? 'failed' };
    // A release whose answer was lost and that is said again may find the next holding.
    if (isOverNats) await client.release(key, end, PATIENT);
    else await this.post((api) => api.release(key, end));
  }

  /** Once: an approval that is said again after the next failure would be one of that failure. */
  private async approve(key: string, by: string, isOverNats: boolean): Promise<void> {
    try {
      const answer = isOverNats
        ? await this.guards.client.approve(key, { by }, { withinMs: 450 })
        : (await this.someReplica().approve(key, by)).body;
      if (answer.kind === 'approved' && answer.by === by) this.approvals.push({ key, by });
    } catch {
      this.lost++;
    }
  }

  /** A call whose outcome does not matter, as long as it ends within its bound, and as it should. */
  private async askBriefly(): Promise<void> {
    try {
      this.impatient.push((await this.guards.client.renew('nobody', { token: 1 }, IMPATIENT)).kind);
    } catch (error) {
      this.unavailable.push(error);
    }
  }

  /** At one replica after another, until one answers. */
  private async post(send: (api: TaskApi) => Promise<ApiAnswer>): Promise<ApiAnswer> {
    for (;;) {
      const answer = await send(this.someReplica()).catch(() => undefined);
      if (answer !== undefined && answer.status < 500) return answer;
      this.lost++;
    }
  }

  private async historyOf(key: string): Promise<readonly TaskStep[]> {
    for (;;) {
      const task = await this.someReplica()
        .show(key)
        .catch(() => undefined);
      if (task !== undefined) return task.history;
      this.lost++;
    }
  }

  private someReplica(): TaskApi {
    return this.guards.replica(this.number++).api;
  }
}

describe('three replicas under load, each killed in turn and started again', () => {
  it('never two holders of a key, no approval lost or used twice, every call answered or failed in its bound (G1, G2, G4)', async () => {
    await using guards = await startGuards(3);
    const load = new Load(guards);
    try {
      for (const replica of guards.replicas) {
        await load.more(4);
        await replica.kill9();
        await load.more(4);
        await replica.again();
      }
      await load.more(4);
    } finally {
      await load.end();
    }

    expect(load.robbed).toEqual([]);
    expect(load.lost).toBeGreaterThan(0);
    expect(new Set(load.impatient)).toEqual(new Set(['not_held']));
    expect(load.unavailable.filter((error) => !(error instanceof GuardUnavailableError))).toEqual([]);

    for (const key of KEYS) {
      // What is left at the end is usable: free, or after an approval.
      const request = { requestId: 'last', runId: 'last run' };
      if ((await guards.client.acquire(key, request, PATIENT)).kind === 'approval_required') {
        await guards.client.approve(key, { by: 'the last person' }, PATIENT);
      }
      const last = await guards.client.acquire(key, request, PATIENT);
      expect([key, last.kind]).toEqual([key, 'acquired']);
      for (const { api } of guards.replicas) expect(await api.show(key)).toMatchObject({ runId: 'last run' });

      const holdings = load.holdings.filter((holding) => holding.key === key);
      expect(overlaps(holdings)).toEqual([]);
      const history = (await guards.replica(0).api.show(key))?.history ?? [];
      const token = last.kind === 'acquired' ? last.token : 0;
      const whole = wholeHistory([...holdings, { key, token, runId: 'last run', from: 0, to: 0, history }]);
      expect(wrongSteps(whole)).toEqual([]);
      expect(whole.filter(({ what }) => what === 'acquired')).toHaveLength(holdings.length + 1);
      const given = whole.flatMap(({ what, by }) => (what === 'approved' ? [by] : []));
      expect(new Set(given).size).toBe(given.length);
      const told = load.approvals.filter((approval) => approval.key === key).map(({ by }) => by);
      expect(told.filter((by) => !given.includes(by))).toEqual([]);
      expect(told.length).toBeGreaterThan(0);
    }
  });
});
