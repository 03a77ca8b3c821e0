import fc from 'fast-check';
import { it } from 'vitest';
import { QUEUE_DEFAULTS, type SessionRecord, type SessionTokens, isDecided } from '#contracts';
import type { TurnOutcome, TurnPolicy, TurnRunner, TurnWork } from '#lanes';
import type { Lease } from '#shards';
import { ModelWorker, SHARDS } from '../ownership/ownership-worker.fixture.js';
import { expectHistoriesToHold, HistoryWorld } from '../ownership/ownership-world.fixture.js';

/**
 * Agents that appear and vanish, on the real lanes and the real keeper of shards. Workers come, stop, die and come back
 * with other agents than before, while messages of all agents arrive, run, fail and are cancelled. No message is
 * rejected, and each session keeps its order. When every agent is available again, at one worker or at several, all
 * messages end handled.
 */

const HISTORIES = Number(process.env['MODEL_HISTORIES'] ?? 1_000);
const SEED = Number(process.env['MODEL_SEED'] ?? 1);
const AGENTS = ['main', 'research', 'support'];
/** Two of each agent, and in each shard two agents. */
const SESSIONS = ['a', 'b', 'c', 'd', 'e', 'f'];
const FAULTS_UNTIL_MS = 15_000;
const LIMIT_MS = 300_000;
const POLICY: TurnPolicy = {
  turnTimeoutMs: 5_000,
  abortGraceMs: 100,
  maxAttempts: 3,
  backoffInitialMs: 300,
  backoffMaxMs: 1_000,
  retryLaterMaxMs: 5_000,
  laneBuffer: 2,
};

const atMs = fc.integer({ min: 0, max: FAULTS_UNTIL_MS });
const agents = fc.subarray(AGENTS);
const scenario = fc.record({
  arrivals: fc.array(
    fc.record({
      atMs,
      session: fc.constantFrom(...SESSIONS),
      route: fc.constantFrom('', '', 'x'),
      order: fc.oneof(
        { weight: 12, arbitrary: fc.constant(undefined) },
        fc.constantFrom('all' as const, 'one' as const),
      ),
    }),
    { minLength: 3, maxLength: 20 },
  ),
  first: agents,
  events: fc.array(
    fc.record({
      atMs,
      kind: fc.constantFrom('join', 'restart', 'restart', 'redeploy', 'redeploy', 'kill', 'drain', 'disconnect'),
      pick: fc.nat({ max: 9 }),
      durationMs: fc.integer({ min: 100, max: 5_000 }),
      agents,
    }),
    { maxLength: 8 },
  ),
  /** Settings of all agents. None gives up a message. */
  strategy: fc.constantFrom(
    'queue' as const,
    'queue' as const,
    'fifo' as const,
    'collect' as const,
    'concurrent' as const,
  ),
  /** Where the agents are in the end. */
  last: fc.constantFrom('together', 'apart'),
  delays: fc.array(fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 60 })), { minLength: 1, maxLength: 20 }),
  lags: fc.array(fc.constantFrom(0, 0, 0, 3), { minLength: 1, maxLength: 10 }),
  lengths: fc.array(fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 3_000 })), {
    minLength: 1,
    maxLength: 15,
  }),
  /** How each turn ends, as far as nothing ends dead by it. */
  ends: fc.array(fc.constantFrom(...Array<'end'>(6).fill('end'), ...(['fail', 'later', 'split', 'split'] as const)), {
    minLength: 1,
    maxLength: 15,
  }),
  drainMs: fc.constantFrom(0, 500, 10_000),
  /** Sessions whose messages have numbers. */
  numbered: fc.subarray(SESSIONS),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;
type Fault = Scenario['events'][number];

const LOSSES: readonly string[] = ['restart', 'kill', 'disconnect'];

const noneSeen = () => ({ waited: 0, moved: 0, retried: 0, handled: 0, cancelled: 0, rerun: 0, putOff: 0, split: 0 });

const agentOf = (session: string): string => AGENTS[SESSIONS.indexOf(session) % AGENTS.length] as string;
const shardOf = (session: string): number => SESSIONS.indexOf(session) % SHARDS;

class World extends HistoryWorld<Scenario> {
  readonly seen = noneSeen();
  private readonly released = new Map<number, { readonly at: number; readonly writeId: string }[]>();
  private readonly running = new Map<string, ModelWorker>();

  constructor(plan: Scenario) {
    super(plan);
    this.broker.leaseHints.add((shard, lease) => this.heard(shard, lease));
    for (const arrival of plan.arrivals) {
      const { session, route } = arrival;
      this.clock.after(arrival.atMs, () => {
        const seq = this.broker.inbox.length + 1;
        // An order to cancel the message before it needs one.
        const order = seq === 1 ? undefined : arrival.order;
        const agent = agentOf(session);
        const shard = shardOf(session);
        const sequence = order === undefined ? this.nextNumber(session) : undefined;
        this.broker.inbox.push({ seq, session, agent, shard, route, order, sequence, at: this.clock.now() });
        const owner = this.broker.leases.get(shardOf(session))?.lease.owner;
        if (this.workers.some((each) => each.incarnation === owner && each.agents?.includes(agent) === false))
          this.seen.waited++;
      });
    }
    for (const event of plan.events) this.clock.after(event.atMs, () => this.befall(event));
    this.join(plan.first);
    // Behind the last fault every agent is somewhere.
    this.clock.after(FAULTS_UNTIL_MS + 5_000, () => {
      if (plan.last === 'together') this.join(AGENTS);
      else for (const agent of AGENTS) this.join([agent]);
    });
  }

  private nextNumber(session: string): number | undefined {
    if (!this.plan.numbered.includes(session)) return undefined;
    const before = this.broker.inbox.filter((each) => each.session === session && each.sequence !== undefined);
    return before.length + 1;
  }

  async run(): Promise<void> {
    await this.untilDecided(FAULTS_UNTIL_MS, LIMIT_MS);
    const mayCut = this.plan.events.some(({ kind }) => kind !== 'join') && this.plan.drainMs < POLICY.turnTimeoutMs;
    if (mayCut || this.losses > 0) return;
    for (const [run, count] of this.starts) if (count > 1) this.violations.push(`${run} ran ${count} times (L8)`);
    if (this.seen.rerun > 0) this.violations.push('a turn ran again though no worker was gone (L8)');
  }

  /** When no worker comes or goes any more, a shard moves only for agents that it needs, and not again and again. */
  private heard(shard: number, { owner, needs = [], writeId }: Lease): void {
    if (owner !== null || this.released.get(shard)?.at(-1)?.writeId === writeId) return;
    if (needs.length > 0) this.seen.moved++;
    const at = this.clock.now();
    if (at < FAULTS_UNTIL_MS + 12_000) return;
    const times = [...(this.released.get(shard) ?? []), { at, writeId }];
    this.released.set(shard, times);
    const before = times.at(-3)?.at ?? Number.NEGATIVE_INFINITY;
    if (at - before < 10_000) this.violations.push(`shard ${shard} is given away three times from ${before} to ${at}`);
  }

  /** How many workers were lost, or looked like it. */
  private get losses(): number {
    return this.plan.events.filter(({ kind }) => LOSSES.includes(kind)).length;
  }

  private join(has: readonly string[], id = this.nextName()): void {
    this.workers.push(new ModelWorker(id, this, (of) => this.turnsOf(of), this.plan.drainMs, has));
  }

  private befall({ kind, pick, durationMs, agents: has }: Fault): void {
    const alive = this.workers.filter(({ isGone }) => !isGone);
    const worker = alive[pick % alive.length];
    if (kind === 'join') {
      if (alive.length < 4) this.join(has);
      return;
    }
    if (worker === undefined) return;
    if (kind === 'disconnect') {
      worker.host.disconnect();
      return void this.clock.after(durationMs, () => worker.host.reconnect());
    }
    if (kind === 'drain' || kind === 'redeploy') void worker.stop();
    else worker.kill();
    // With other agents than before: a typo in its settings, or the end of one.
    if (kind === 'restart') this.clock.after(durationMs / 5, () => this.join(has, worker.id));
    if (kind === 'redeploy') this.join(has);
  }

  private turnsOf(worker: ModelWorker): TurnRunner {
    const has = ({ agentToken }: SessionTokens): boolean => worker.agents?.includes(agentToken) === true;
    const expect = (key: SessionTokens): void => {
      if (!has(key)) throw new Error(`${worker.incarnation} is asked about ${key.agentToken}, which it lacks`);
    };
    return {
      knows: has,
      policyOf: (key) => (expect(key), POLICY),
      queueingOf: (key) => {
        expect(key);
        const { strategy } = this.plan;
        return { ...QUEUE_DEFAULTS, maxQueueSize: Number.POSITIVE_INFINITY, strategy };
      },
      runsOutside: (key) => (expect(key), false),
      run: (work) => this.runTurn(worker, work),
    };
  }

  private runTurn(worker: ModelWorker, work: TurnWork): Promise<TurnOutcome> {
    const { key, batch } = work;
    const session = key.sessionToken;
    this.checkStart(worker, key, work);
    this.running.set(session, worker);
    const leave = (): void => {
      if (this.running.get(session) === worker) this.running.delete(session);
    };
    work.onOver(leave);
    const lengthMs = this.next(this.plan.lengths);
    const outcome = this.outcomeOf(batch);
    return new Promise((resolve) => {
      worker.host.clock.after(lengthMs, () => {
        leave();
        resolve(outcome);
      });
    });
  }

  private outcomeOf({ failures, laterSince, items }: TurnWork['batch']): TurnOutcome {
    const end = this.next(this.plan.ends);
    const failed = { kind: 'failed' as const, error: { name: 'Chance', message: '' } };
    if (end === 'fail' && failures < POLICY.maxAttempts - 1) return failed;
    if (end === 'later' && laterSince === undefined) {
      this.seen.putOff++;
      return { ...failed, next: { laterMs: 0 } };
    }
    if (end === 'split' && items.length > 1) {
      this.seen.split++;
      return { ...failed, next: 'split' };
    }
    return { kind: 'succeeded', replies: [] };
  }

  private checkStart(worker: ModelWorker, key: SessionTokens, { batch }: TurnWork): void {
    const { runId, items, attempt, crashes, laterSince } = batch;
    const seqs = items.map(({ seq }) => seq).join();
    if ((this.batches.get(runId) ?? seqs) !== seqs) this.violations.push(`${runId} has other messages (L7)`);
    this.batches.set(runId, seqs);
    const name = `attempt ${attempt} of ${runId}${laterSince === undefined ? '' : ', put off'}`;
    this.starts.set(name, (this.starts.get(name) ?? 0) + 1);
    if (attempt > 1) this.seen[crashes > 0 ? 'rerun' : 'retried']++;
    if (worker.agents?.includes(key.agentToken) !== true)
      this.violations.push(`${name} begins at ${worker.incarnation}, which lacks ${key.agentToken}`);
    const owner = this.broker.leases.get(key.shard)?.lease.owner;
    if (owner !== worker.incarnation)
      this.violations.push(`${name} begins at ${worker.incarnation}, not ${owner} (L4)`);
    const other = this.running.get(key.sessionToken);
    const stands = other !== undefined && this.broker.member(other.id)?.value.incarnation === other.incarnation;
    const isBeside = batch.isConcurrent && other === worker;
    if (stands && !isBeside && !other.host.isDead && other.host.isConnected)
      this.violations.push(`${name} begins while another runs at ${other.incarnation} (L1)`);
  }

  protected check(session: string, record: SessionRecord): void {
    const { head } = this.broker.head(session);
    for (const { seq, decision, reason } of record.messages) {
      if (this.decided.has(seq) || isDecided(head, seq)) this.violations.push(`message ${seq} is decided twice (L1)`);
      this.decided.set(seq, decision);
      if (decision === 'handled' || decision === 'cancelled') this.seen[decision]++;
      // After three deaths of its worker, the last one in quarantine, a message is dead, as everywhere.
      else if (reason !== 'worker_crashed' || this.losses < 3)
        this.violations.push(`message ${seq} is ${decision}: ${reason}`);
    }
    if (record.kind !== 'turn' || record.status === 'cancelled' || this.plan.strategy === 'concurrent') return;
    for (const { seq } of record.messages) {
      const lane = `${session} ${this.broker.inbox[seq - 1]?.route}`;
      const last = this.lastHandled.get(lane) ?? 0;
      if (seq < last) this.violations.push(`message ${seq} of ${lane} is handled after ${last} (L2)`);
      this.lastHandled.set(lane, seq);
    }
  }
}

it(`L1 L2 L3 L4 L7 L8 hold in ${HISTORIES} histories in which agents appear and vanish, and no message is rejected`, async () => {
  // Waiting messages and moving shards must have occurred: the model is about them.
  await expectHistoriesToHold({
    plans: scenario,
    world: (plan) => new World(plan),
    count: HISTORIES,
    seed: SEED,
    leastSeen: HISTORIES / 20,
  });
}, 600_000);
