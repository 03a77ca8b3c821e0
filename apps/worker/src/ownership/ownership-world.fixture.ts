import fc from 'fast-check';
import { expect } from 'vitest';
import type { SessionRecord } from '#contracts';
import { ModelBroker } from './ownership-broker.fixture.js';
import { ModelClock } from './ownership-clock.fixture.js';
import type { ModelWorker, WorkerWorld } from './ownership-worker.fixture.js';

/** For the models of workers: the world of one history, and the run of many. */

/** The planned values of one kind, used in order, over and over. */
export interface ModelPlan {
  readonly arrivals: readonly unknown[];
  readonly delays: readonly number[];
  readonly lags: readonly number[];
}

export abstract class HistoryWorld<Plan extends ModelPlan> implements WorkerWorld {
  readonly clock = new ModelClock();
  readonly broker: ModelBroker;
  readonly violations: string[] = [];
  protected readonly workers: ModelWorker[] = [];
  /** By sequence. */
  protected readonly decided = new Map<number, string>();
  /** By attempt. */
  protected readonly starts = new Map<string, number>();
  /** By session and route. */
  protected readonly lastHandled = new Map<string, number>();
  /** By run. */
  protected readonly batches = new Map<string, string>();
  private readonly taken = new Map<readonly unknown[], number>();
  private names = 0;

  constructor(protected readonly plan: Plan) {
    this.broker = new ModelBroker(
      () => this.clock.now(),
      (session, record) => this.check(session, record),
    );
  }

  /** Checks a record at the moment of its write. */
  protected abstract check(session: string, record: SessionRecord): void;

  nextDelayMs(): number {
    return this.next(this.plan.delays);
  }

  nextLag(): number {
    return this.next(this.plan.lags);
  }

  protected next<T>(values: readonly T[]): T {
    const times = this.taken.get(values) ?? 0;
    this.taken.set(values, times + 1);
    return values[times % values.length] as T;
  }

  protected nextName(): string {
    return `w${this.names++}`;
  }

  /** Ends when everything is decided, and not before the last fault. All workers are dead then. */
  protected async untilDecided(faultsUntilMs: number, limitMs: number): Promise<void> {
    await this.clock.runUntil(() => this.clock.now() > faultsUntilMs && this.isAllDecided, limitMs);
    for (const worker of this.workers) worker.kill();
    if (!this.isAllDecided) this.violations.push(`not everything is decided after ${limitMs} ms (L3)`);
  }

  private get isAllDecided(): boolean {
    return this.decided.size === this.plan.arrivals.length;
  }
}

export interface Histories<Plan, Seen> {
  readonly plans: fc.Arbitrary<Plan>;
  readonly world: (plan: Plan) => {
    readonly violations: readonly string[];
    readonly seen: Seen;
    run(): Promise<void>;
  };
  /** Number of histories and their random seed: the same each time, so that a red build is caused by the change. */
  readonly count: number;
  readonly seed: number;
  /** Events that the model is about: each occurred more often than this in all histories. */
  readonly leastSeen: number;
}

/** No violations, and all of these events. */
export async function expectHistoriesToHold<Plan, Seen extends Record<string, number>>({
  plans,
  world: worldOf,
  count,
  seed,
  leastSeen,
}: Histories<Plan, Seen>): Promise<void> {
  const seen: Record<string, number> = {};
  await fc.assert(
    fc.asyncProperty(plans, async (plan) => {
      const world = worldOf(plan);
      await world.run();
      expect(world.violations).toEqual([]);
      for (const [what, times] of Object.entries(world.seen)) seen[what] = (seen[what] ?? 0) + times;
    }),
    { numRuns: count, seed },
  );
  for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(leastSeen);
}
