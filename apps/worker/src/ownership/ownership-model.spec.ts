import fc from 'fast-check';
import { it } from 'vitest';
import {
  FULL_QUEUE_POLICIES,
  OVERFLOW_ACTIONS,
  STRATEGIES,
  type Decision,
  type QueueSettings,
  type SessionRecord,
  type SessionTokens,
  isDecided,
  type LoadedHead,
} from '#contracts';
import type { TurnOutcome, TurnPolicy, TurnRunner, TurnWork } from '#lanes';
import { ModelWorker, SHARDS } from './ownership-worker.fixture.js';
import { expectHistoriesToHold, HistoryWorld } from './ownership-world.fixture.js';

/**
 * Random tests of ownership, on the real lanes and the real keeper of shards. Workers come, drain, die, are stopped and
 * continue as zombies, lose the network or the broker, and read from replicas that lag, while messages arrive and turns
 * last, fail and end. After every step the invariants hold. In the end everything is decided.
 */

/** `MODEL_HISTORIES` sets the number of histories; `npm run test:long` runs 10,000. */
const HISTORIES = Number(process.env['MODEL_HISTORIES'] ?? 2_000);
/** The same histories each time, so that a red build is caused by the change. `MODEL_SEED` selects others. */
const SEED = Number(process.env['MODEL_SEED'] ?? 1);
const SESSIONS = ['a', 'b', 'c', 'd', 'e'];
const ROUTES = ['', 'x'];
const FAULTS_UNTIL_MS = 15_000;
const LIMIT_MS = 240_000;
const POLICY: TurnPolicy = {
  turnTimeoutMs: 5_000,
  abortGraceMs: 100,
  maxAttempts: 2,
  backoffInitialMs: 300,
  backoffMaxMs: 1_000,
  retryLaterMaxMs: 5_000,
  laneBuffer: 2,
};

const atMs = fc.integer({ min: 0, max: FAULTS_UNTIL_MS });
const durationMs = fc.integer({ min: 100, max: 7_000 });
const KINDS = ['join', 'join', 'kill', 'restart', 'drain', 'drain', 'freeze', 'disconnect', 'outage'] as const;
const arrival = fc.record({
  atMs,
  session: fc.constantFrom(...SESSIONS),
  route: fc.constantFrom(...ROUTES),
  /** Mostly that of the agent. */
  strategy: fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, fc.constantFrom(...STRATEGIES)),
  /** Or an order: to cancel all of the session, or the message that came before it. */
  order: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, fc.constantFrom('all' as const, 'one' as const)),
  /** In a session with numbered messages: how many places too early it arrives. */
  shift: fc.constantFrom(0, 0, 0, 1, 2),
});
const queueing: fc.Arbitrary<QueueSettings> = fc.record({
  strategy: fc.constantFrom(...STRATEGIES),
  maxQueueSize: fc.constantFrom(1, 2, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY),
  onQueueFull: fc.constantFrom(...FULL_QUEUE_POLICIES),
  queueEntryTtlMs: fc.constantFrom(400, 90_000),
  queueTimeoutMs: fc.constantFrom(undefined, undefined, 1_000, 20_000),
  overflowAction: fc.constantFrom(...OVERFLOW_ACTIONS),
  busyMessage: fc.constant('busy'),
  debounceMs: fc.constantFrom(50, 500),
  maxDebounceMs: fc.constantFrom(500, 2_000),
  maxConcurrent: fc.constantFrom(1, 2, Number.POSITIVE_INFINITY),
  gapTimeoutMs: fc.constantFrom(50, 2_000),
  maxTurnMessages: fc.constantFrom(2, 500, 500),
  maxTurnBytes: fc.constantFrom(150, 1_000_000, 1_000_000),
});
const scenario = fc.record({
  arrivals: fc.array(arrival, { minLength: 3, maxLength: 20 }),
  queueing,
  events: fc.array(fc.record({ atMs, kind: fc.constantFrom(...KINDS), pick: fc.nat({ max: 9 }), durationMs }), {
    maxLength: 8,
  }),
  delays: fc.array(fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 60 })), { minLength: 1, maxLength: 20 }),
  lags: fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 6 })), {
    minLength: 1,
    maxLength: 10,
  }),
  lengths: fc.array(fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 4_000 })), {
    minLength: 1,
    maxLength: 15,
  }),
  ends: fc.array(
    fc.oneof({ weight: 6, arbitrary: fc.constant('end' as const) }, fc.constantFrom('fail' as const, 'never' as const)),
    { minLength: 1, maxLength: 15 },
  ),
  drainMs: fc.constantFrom(0, 500, 10_000),
  numbered: fc.subarray([...SESSIONS]),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

interface ActiveTurn {
  readonly worker: ModelWorker;
  readonly runId: string;
  readonly isConcurrent: boolean;
  readonly startedAt: number;
}

/** Decisions that strategies make. */
const left = () => ({ dropped: 0, expired: 0, superseded: 0, skipped: 0, cancelled: 0 });
const noneSeen = () => ({
  takeovers: 0,
  turnsInHandoff: 0,
  rerun: 0,
  discarded: 0,
  handedBack: 0,
  dead: 0,
  retried: 0,
  beside: 0,
  late: 0,
  /** Heads of forgotten lanes that were not read again. */
  remembered: 0,
  ...left(),
});

class World extends HistoryWorld<Scenario> {
  readonly seen = noneSeen();
  private readonly active = new Map<string, ActiveTurn[]>();
  /** Runs whose record is stored. */
  private readonly ended = new Set<string>();
  /** Messages that a turn got as late. */
  private readonly late = new Set<number>();

  constructor(plan: Scenario) {
    super(plan);
    for (const arrival of plan.arrivals) {
      const shard = SESSIONS.indexOf(arrival.session) % SHARDS;
      const { session, route, strategy, order, shift } = arrival;
      this.clock.after(arrival.atMs, () => {
        const seq = this.broker.inbox.length + 1;
        const sequence = order === undefined ? this.nextNumber(session, shift) : undefined;
        const at = this.clock.now();
        this.broker.inbox.push({ seq, session, shard, route, strategy, order, sequence, at });
      });
    }
    for (const event of plan.events) this.clock.after(event.atMs, () => this.befall(event));
    this.join();
    this.clock.after(FAULTS_UNTIL_MS + 8_000, () => {
      if (this.workers.every(({ isGone }) => isGone)) this.join();
    });
  }

  /**
   * Without holes, except when a message overtakes: then a number is skipped, and comes with a later message or never.
   */
  private nextNumber(session: string, shift: number): number | undefined {
    if (!this.plan.numbered.includes(session)) return undefined;
    const used = new Set(this.broker.inbox.filter((each) => each.session === session).map(({ sequence }) => sequence));
    let free = 1;
    while (used.has(free) || used.has(free + shift)) free++;
    return free + shift;
  }

  /** The owner's data of a session equals its last record. */
  remember({ incarnation }: ModelWorker, { shard, sessionToken: session }: SessionTokens, known: LoadedHead): void {
    if (this.broker.leases.get(shard)?.lease.owner !== incarnation) return;
    this.seen.remembered++;
    const last = this.broker.head(session);
    const { upto } = known.head;
    if (last.seq !== known.seq)
      this.violations.push(`${session} is remembered at record ${known.seq}, and is at ${last.seq}`);
    for (const { seq } of this.broker.inbox.filter((message) => message.session === session)) {
      const isKnown = seq <= upto;
      if (isDecided(last.head, seq) === isKnown) continue;
      this.violations.push(`message ${seq} is remembered as ${isKnown ? 'decided' : 'open'}, and is not (L1 L3)`);
    }
  }

  async run(): Promise<void> {
    await this.untilDecided(FAULTS_UNTIL_MS, LIMIT_MS);
    for (const { lanes } of this.workers) this.seen.discarded += lanes.discarded;
    if (this.mayCutTurns) return;
    for (const [run, count] of this.starts) if (count > 1) this.violations.push(`${run} ran ${count} times (L1)`);
    if (this.seen.rerun > 0) this.violations.push('a turn ran again though no worker was gone (L1)');
  }

  /** Whether any part of the plan may cut a turn. An outage may not, however long it is. */
  private get mayCutTurns(): boolean {
    const kinds = new Set(this.plan.events.map(({ kind }) => kind));
    if (['kill', 'restart', 'freeze', 'disconnect'].some((kind) => kinds.has(kind as 'kill'))) return true;
    // A drain waits for its turns, but not for ever, and not for the broker.
    return kinds.has('drain') && (kinds.has('outage') || this.plan.drainMs < POLICY.turnTimeoutMs);
  }

  private join(id = this.nextName()): void {
    this.workers.push(new ModelWorker(id, this, (of) => this.turnsOf(of), this.plan.drainMs));
  }

  private befall({ kind, pick, durationMs: forMs }: Scenario['events'][number]): void {
    const alive = this.workers.filter(({ isGone }) => !isGone);
    const worker = alive[pick % alive.length];
    if (kind === 'join') {
      if (alive.length < 4) this.join();
    } else if (kind === 'outage') {
      this.broker.isUp = false;
      for (const each of alive) each.host.disconnect();
      this.clock.after(forMs, () => {
        this.broker.isUp = true;
        for (const each of alive) this.clock.after(this.nextDelayMs() * 20, () => each.host.reconnect());
      });
    } else if (worker !== undefined) this.strike(kind, worker, forMs);
  }

  private strike(
    kind: 'kill' | 'restart' | 'drain' | 'freeze' | 'disconnect',
    worker: ModelWorker,
    forMs: number,
  ): void {
    if (kind === 'drain') return void worker.stop();
    if (kind === 'freeze') {
      worker.host.freeze();
      return void this.clock.after(forMs, () => worker.host.thaw());
    }
    if (kind === 'disconnect') {
      worker.host.disconnect();
      return void this.clock.after(forMs, () => worker.host.reconnect());
    }
    worker.kill();
    if (kind === 'restart') this.clock.after(forMs / 5, () => this.join(worker.id));
  }

  private turnsOf(worker: ModelWorker): TurnRunner {
    return {
      knows: () => true,
      policyOf: () => POLICY,
      queueingOf: (_key, { strategy = this.plan.queueing.strategy } = {}) => ({ ...this.plan.queueing, strategy }),
      runsOutside: ({ sessionToken }) => SESSIONS.indexOf(sessionToken) % 2 === 0,
      run: (work) => this.runTurn(worker, work),
    };
  }

  private runTurn(worker: ModelWorker, work: TurnWork): Promise<TurnOutcome> {
    const { key, batch } = work;
    const session = key.sessionToken;
    this.checkStart(worker, key, work);
    const { runId, isConcurrent } = batch;
    const turn = { worker, runId, isConcurrent, startedAt: this.clock.now() };
    const turns = this.active.get(session) ?? [];
    this.active.set(session, [...turns, turn]);
    const leave = (): void => {
      this.active.set(
        session,
        (this.active.get(session) ?? []).filter((other) => other !== turn),
      );
    };
    work.onOver(leave);
    const lengthMs = this.next(this.plan.lengths);
    const end = this.next(this.plan.ends);
    return new Promise((resolve) => {
      worker.host.clock.after(lengthMs, () => {
        leave();
        if (end === 'end') return resolve({ kind: 'succeeded', replies: [] });
        const error = { name: 'Chance', message: '' };
        resolve({ kind: 'failed', error, ...(end === 'never' ? { next: 'never' } : {}) });
      });
    });
  }

  private checkStart(worker: ModelWorker, key: SessionTokens, { batch }: TurnWork): void {
    const { runId, items, attempt, crashes } = batch;
    const seqs = items.map(({ seq }) => seq).join();
    for (const { seq, isLate } of items) if (isLate === true) this.late.add(seq);
    const known = this.batches.get(runId) ?? seqs;
    if (known !== seqs) this.violations.push(`${runId} had ${known} and has ${seqs} (L7)`);
    if (this.ended.has(runId)) this.violations.push(`${runId} begins again behind its record (L7)`);
    this.batches.set(runId, seqs);
    const name = `attempt ${attempt} of ${runId}`;
    this.starts.set(name, (this.starts.get(name) ?? 0) + 1);
    if (attempt > 1) this.seen[crashes > 0 ? 'rerun' : 'retried']++;

    if (!this.stands(worker, this.clock.now()))
      this.violations.push(`${name} begins at ${worker.incarnation}, which is no member (L4)`);
    const owner = this.broker.leases.get(key.shard)?.lease.owner;
    if (owner !== worker.incarnation) {
      this.violations.push(`${name} begins at ${worker.incarnation}, the shard is of ${owner} (L4)`);
    }
    const active = this.active.get(key.sessionToken) ?? [];
    const beside = active.filter((other) => other.isConcurrent && other.worker === worker).length;
    if (batch.isConcurrent && beside >= this.plan.queueing.maxConcurrent) {
      this.violations.push(`${name} begins beside ${beside} others`);
    }
    for (const other of active) {
      if (!this.stands(other.worker, other.startedAt)) this.seen.takeovers++;
      else if (other.worker === worker && (batch.isConcurrent || other.isConcurrent)) this.seen.beside++;
      else this.violations.push(`${name} begins while ${other.runId} runs at ${other.worker.incarnation} (L1)`);
    }
  }

  /**
   * Member without a break since then. A worker that was judged dead and came back is a zombie until it has checked.
   */
  private stands(worker: ModelWorker, since: number): boolean {
    const member = this.broker.member(worker.id);
    if (worker.host.isDead || member === undefined) return false;
    return member.value.incarnation === worker.incarnation && member.standsSince <= since;
  }

  private checkBatch({ runId, status, messages }: Extract<SessionRecord, { kind: 'turn' }>): void {
    const batch = this.batches.get(runId)?.split(',');
    const seqs = messages.map(({ seq }) => String(seq));
    // A cancel may be for some messages of a batch. The others are left to another run.
    const isWhole = status === 'cancelled' ? seqs.every((seq) => batch?.includes(seq)) : batch?.join() === seqs.join();
    if (batch !== undefined && !isWhole) this.violations.push(`the record of ${runId} decides ${seqs.join()} (L7)`);
    this.ended.add(runId);
  }

  protected check(session: string, record: SessionRecord): void {
    for (const { seq, decision } of record.messages) {
      const before = this.decided.get(seq);
      if (before !== undefined) this.violations.push(`message ${seq} is decided ${before} and ${decision} (L1)`);
      this.decided.set(seq, decision);
      if (decision in this.seen) this.seen[decision as Decision & keyof typeof this.seen]++;
    }
    if (record.run !== null && record.kind === 'note') {
      const { notBefore, crashes } = record.run;
      if (notBefore === undefined && crashes === 0) this.seen.handedBack++;
    }
    const { head } = this.broker.head(session);
    for (const { seq } of record.messages) {
      if (isDecided(head, seq)) this.violations.push(`message ${seq} was decided by the cursor before (L1)`);
    }
    if (record.kind !== 'turn') return;
    this.checkBatch(record);
    const owner = this.broker.leases.get(SESSIONS.indexOf(session) % SHARDS)?.lease.owner;
    if (owner !== record.worker) this.seen.turnsInHandoff++;
    for (const { seq } of record.messages) {
      const { route = '', strategy = this.plan.queueing.strategy, sequence } = this.broker.inbox[seq - 1] ?? {};
      // The sender chose cancelled messages, so they may be out of order.
      if (strategy === 'concurrent' || record.status === 'cancelled') continue;
      if (this.late.has(seq)) {
        this.seen.late++;
        continue;
      }
      const lane = `${session} ${route}`;
      const last = this.lastHandled.get(lane) ?? 0;
      const place = sequence ?? seq;
      if (place < last) this.violations.push(`message ${seq} of ${lane} (${place}) is handled after ${last} (L2)`);
      this.lastHandled.set(lane, place);
    }
  }
}

it(`L1 L2 L3 L4 L6 L7 hold in ${HISTORIES} histories of workers that come, drain, die, stop and come back`, async () => {
  // Takeovers, handoffs and zombies must have occurred: the model is about them.
  await expectHistoriesToHold({
    plans: scenario,
    world: (plan) => new World(plan),
    count: HISTORIES,
    seed: SEED,
    leastSeen: HISTORIES / 200,
  });
}, 600_000);
