import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Clock, type RunInWork, decide, isDecided } from '#contracts';
import { QUARANTINE_CRASHES } from '../lane/after-crash.js';
import type { LaneRunner } from '../runner/lane-runner.js';
import {
  afterCrash,
  makeRunner,
  ManualClock,
  ManualTurns,
  MemoryRecords,
  MemoryStore,
  rawMessage,
  sessionKey,
  settled,
  type StartedTurn,
} from './lane-runner.fixture.js';
import type { TurnPolicy } from '../turn-rules/turn-policy.js';

/**
 * The whole machine against chance: messages arrive, turns last, fail, hang and ask for later, writes are late, whole
 * processes die (some of them only seem to, and go on writing), and others write records of their own.
 */

const SESSIONS = ['a', 'b', 'c'];
const ROUTES = ['', 'x', 'y'];
const REPLACED_MS = 40;
const POLICY: TurnPolicy = {
  turnTimeoutMs: 100,
  abortGraceMs: 20,
  maxAttempts: 3,
  backoffInitialMs: 30,
  backoffMaxMs: 100,
  retryLaterMaxMs: 400,
  laneBuffer: 512,
};

interface Message {
  readonly seq: number;
  readonly session: string;
  readonly route: string;
  readonly isBroken: boolean;
}

const atMs = fc.integer({ min: 0, max: 600 });
const arrivals = fc.array(
  fc.record({
    atMs,
    session: fc.constantFrom(...SESSIONS),
    route: fc.constantFrom(...ROUTES),
    isBroken: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
  }),
  { minLength: 5, maxLength: 40 },
);
const scenario = fc.record({
  arrivals,
  crashes: fc.array(fc.record({ atMs, isZombie: fc.boolean() }), { maxLength: 4 }),
  others: fc.array(fc.record({ atMs, session: fc.constantFrom(...SESSIONS), pick: fc.nat({ max: 10 }) }), {
    maxLength: 4,
  }),
  delays: fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 30 })), { minLength: 1, maxLength: 30 }),
  lengths: fc.array(fc.integer({ min: 0, max: 150 }), { minLength: 1, maxLength: 30 }),
  ends: fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.constant('end' as const) },
      { weight: 3, arbitrary: fc.constant('fail' as const) },
      { weight: 2, arbitrary: fc.constantFrom('later' as const, 'never' as const, 'hang' as const) },
    ),
    { minLength: 1, maxLength: 30 },
  ),
  capacity: fc.integer({ min: 1, max: 4 }),
  readAtOnce: fc.integer({ min: 1, max: 6 }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

type Kind = Scenario['ends'][number];

const noneSeen = () => ({ lost: 0, again: 0, broken: 0, dead: 0, retried: 0, putOff: 0, timedOut: 0, leaked: 0 });

class World {
  readonly clock = new ManualClock();
  readonly records = new MemoryRecords();
  readonly inbox: Message[] = [];
  readonly batches = new Map<string, string>();
  /** The highest attempt of each run that was begun. */
  readonly attempts = new Map<string, number>();
  /** What must not happen and is seen while it happens; thrown, it would only be the failure of a turn. */
  readonly violations: string[] = [];
  readonly seen = noneSeen();
  private process: Process | undefined;
  crashes = 0;
  private turns = 0;
  private ends = 0;
  private delays = 0;

  constructor(readonly plan: Scenario) {
    for (const { atMs: at, ...arrival } of plan.arrivals) {
      this.clock.after(at, () => {
        this.inbox.push({ ...arrival, seq: this.inbox.length + 1 });
        this.process?.wake();
      });
    }
    for (const { atMs: at, isZombie } of plan.crashes) {
      this.clock.after(at, () => {
        const former = this.process;
        if (former === undefined) return;
        former.isReading = false;
        this.seen.leaked += former.leaked;
        this.crashes++;
        if (isZombie) this.clock.after(300, () => (former.isDead = true));
        else former.isDead = true;
        this.process = undefined;
        this.clock.after(REPLACED_MS, () => this.startProcess());
      });
    }
    for (const { atMs: at, session, pick } of plan.others)
      this.clock.after(at, () => this.decideElsewhere(session, pick));
    this.clock.after(0, () => this.startProcess());
  }

  nextDelayMs(): number {
    return this.plan.delays[this.delays++ % this.plan.delays.length] ?? 0;
  }

  nextLengthMs(): number {
    return this.plan.lengths[this.turns++ % this.plan.lengths.length] ?? 0;
  }

  nextRandom(): number {
    return (this.nextDelayMs() % 10) / 10;
  }

  nextEnd(): Kind {
    return this.plan.ends[this.ends++ % this.plan.ends.length] ?? 'end';
  }

  get hasZombies(): boolean {
    return this.plan.crashes.some(({ isZombie }) => isZombie);
  }

  of(session: string): Message[] {
    return this.inbox.filter((message) => message.session === session);
  }

  private startProcess(): void {
    this.process ??= new Process(this);
  }

  private decideElsewhere(session: string, pick: number): void {
    const { head, seq: headSeq } = this.records.head(session);
    const pending = this.of(session)
      .map(({ seq }) => seq)
      .filter((seq) => !isDecided(head, seq));
    const seq = pending[pick % pending.length];
    if (seq === undefined) return;
    const cursor = decide(head, [seq], pending, this.inbox.length);
    const messages = [{ id: `m${seq}`, seq, decision: 'dropped' }];
    const note = { v: 1, kind: 'note', commitId: 'x', worker: 'w/2', ...head, ...cursor, messages };
    this.records.write(session, JSON.stringify(note), headSeq);
  }
}

/** One life of a worker: reads the inbox from its start, in order and bit by bit. */
class Process {
  isReading = true;
  isDead = false;
  private readonly runner: LaneRunner;
  private position = 0;
  private isAwake = false;

  /** The run that each session's last record has, as far as this process knows. */
  private readonly runs = new Map<string, RunInWork | null>();

  constructor(private readonly world: World) {
    const { records, plan } = world;
    // A dead process has no timers either.
    const clock: Clock = {
      now: () => world.clock.now(),
      monotonic: () => world.clock.monotonic(),
      after: (delayMs, fn) => world.clock.after(delayMs, () => void (this.isDead || fn())),
    };
    const turns = new ManualTurns((turn) => this.begin(turn, clock), world.violations);
    turns.policy = POLICY;
    const pass = (): Promise<void> =>
      new Promise((resolve) => {
        // A request that was sent before a crash may still come to the broker after it; nothing is sent later.
        if (!this.isDead) clock.after(world.nextDelayMs(), resolve);
      });
    const store = new MemoryStore(records, pass);
    const write = store.write.bind(store);
    store.write = async (key, body, ...args) => {
      const outcome = await write(key, body, ...args);
      if (outcome.kind === 'lost') world.seen.lost++;
      if (this.isDead) return { kind: 'abandoned' };
      const mine = JSON.parse(body) as { run: RunInWork | null };
      this.runs.set(key.sessionToken, outcome.kind === 'lost' ? outcome.winner.head.run : mine.run);
      return outcome;
    };
    const loadHead = store.loadHead.bind(store);
    store.loadHead = async (key) => {
      const loaded = await loadHead(key);
      this.runs.set(key.sessionToken, loaded.head.run);
      return loaded;
    };
    const bury = store.bury.bind(store);
    store.bury = async (...args) => (await bury(...args)) && !this.isDead;
    const { capacity } = plan;
    const from = world.crashes === 0 ? {} : { from: afterCrash(records, world.inbox.length) };
    this.runner = makeRunner({ store, turns, clock, capacity, random: () => world.nextRandom(), ...from });
    if (world.inbox.length === 0) this.runner.caughtUp(0);
    this.wake();
  }

  wake(): void {
    if (this.isAwake) return;
    this.isAwake = true;
    this.world.clock.after(this.world.nextDelayMs(), () => this.read());
  }

  private begin({ session, seqs, batch, signal, end, fail }: StartedTurn, clock: Clock): void {
    const { world } = this;
    const { runId, attempt } = batch;
    const messages = JSON.stringify(seqs);
    const known = world.batches.get(runId) ?? messages;
    if (world.batches.has(runId)) world.seen.again++;
    world.batches.set(runId, messages);
    if (known !== messages) world.violations.push(`run ${runId} of ${session} had ${known}, has ${messages} (L7)`);

    const run = this.runs.get(session);
    if (run?.runId === runId) {
      if (attempt < run.attempt)
        world.violations.push(`attempt ${attempt} of ${runId} behind a record of ${run.attempt}`);
      const early = (run.notBefore ?? 0) - clock.now();
      if (early > 0) world.violations.push(`attempt ${attempt} of ${runId} begins ${early} ms too early`);
      if (run.notBefore !== undefined) world.seen.retried++;
      if (run.laterSince !== undefined) world.seen.putOff++;
    }
    const highest = world.attempts.get(runId) ?? 0;
    // A zombie that does not know of its successor's records may still begin what it knows.
    if (attempt < highest && !world.hasZombies)
      world.violations.push(`attempt ${attempt} of ${runId} after ${highest}`);
    world.attempts.set(runId, Math.max(highest, attempt));

    const kind = world.nextEnd();
    const lengthMs = world.nextLengthMs();
    if (kind === 'hang') {
      // Every second one stops when it is told to.
      if (lengthMs % 2 === 0) signal.addEventListener('abort', () => clock.after(10, () => end()));
      return;
    }
    clock.after(lengthMs, () => {
      if (kind === 'end') end();
      else if (kind === 'fail') fail('Chance');
      else fail('Chance', kind === 'never' ? 'never' : { laterMs: lengthMs });
    });
  }

  get leaked(): number {
    return this.runner.leaked;
  }

  private read(): void {
    this.isAwake = false;
    const { inbox, plan } = this.world;
    for (let i = 0; i < plan.readAtOnce && this.isReading; i++) {
      const message = inbox[this.position];
      if (message === undefined) return;
      this.position++;
      const body = message.isBroken ? 'broken' : message.route === '' ? {} : { thread: message.route };
      this.runner.receive(sessionKey(message.session), rawMessage(message.seq, body));
      if (this.position === inbox.length) this.runner.caughtUp(0);
    }
    if (this.isReading && this.position < inbox.length) this.wake();
  }
}

function check(world: World): void {
  expect(world.violations).toEqual([]);
  for (const session of SESSIONS) {
    const messages = world.of(session);
    const records = world.records.of(session);
    const decided = records.flatMap((record) => record.messages.map(({ seq }) => seq));
    expect(decided.toSorted((a, b) => a - b)).toEqual(messages.map(({ seq }) => seq));
    const { head } = world.records.head(session);
    expect(messages.filter(({ seq }) => !isDecided(head, seq))).toEqual([]);
    for (const route of ROUTES) {
      const handled = records
        .filter(({ kind }) => kind === 'turn')
        .flatMap((record) => record.messages.map(({ seq }) => seq))
        .filter((seq) => world.inbox[seq - 1]?.route === route);
      expect(handled).toEqual(handled.toSorted((a, b) => a - b));
    }
    for (const [position, record] of records.entries()) {
      if (record.kind !== 'turn') continue;
      const ofRecord = JSON.stringify(record.messages.map(({ seq }) => seq));
      if (record.error?.name === 'worker_crashed') {
        // Its workers may have ended between the note and the first call.
        expect(world.crashes).toBeGreaterThan(QUARANTINE_CRASHES);
        const run = records[position - 1]?.run;
        expect(run).toMatchObject({ runId: record.runId, crashes: QUARANTINE_CRASHES, quarantined: true });
        expect(JSON.stringify(run?.seqs)).toBe(ofRecord);
      } else expect(ofRecord).toBe(world.batches.get(record.runId));
    }
    const rejected = records.flatMap((r) =>
      r.messages.filter(({ decision }) => decision === 'rejected').map(({ seq }) => seq),
    );
    for (const seq of rejected) expect(world.inbox[seq - 1]?.isBroken).toBe(true);
    world.seen.broken += rejected.length;
    checkDead(world, session);
  }
}

/** Every dead decision has its letter, which stood before the record. */
function checkDead(world: World, session: string): void {
  for (const [position, record] of world.records.of(session).entries()) {
    if (record.kind !== 'turn') continue;
    if (record.status === 'timed_out') world.seen.timedOut++;
    expect(record.status === 'succeeded').toBe(record.messages.every(({ decision }) => decision === 'handled'));
    for (const { seq, decision } of record.messages) {
      if (decision !== 'dead') continue;
      world.seen.dead++;
      const letters = world.records.buried.filter(
        ({ session: of, letter, records }) =>
          of === session && letter.seq === seq && letter.runId === record.runId && records <= position,
      );
      expect(letters.map(({ letter }) => letter.error)).toContainEqual(record.error);
      if (record.error?.name !== 'turn_timeout') continue;
      expect(record.attempt).toBeGreaterThanOrEqual(POLICY.maxAttempts);
    }
  }
}

it('L1 L2 L3 L6 L7 every message is decided once and in order, whatever dies, comes late, or writes beside', async () => {
  const seen = noneSeen();
  await fc.assert(
    fc.asyncProperty(scenario, async (plan) => {
      const world = new World(plan);
      // Longer than all that may happen: a lane that goes on for ever has not decided everything by then.
      await world.clock.advance(200_000);
      await settled();
      check(world);
      for (const what of Object.keys(seen) as (keyof typeof seen)[]) seen[what] += world.seen[what];
    }),
    { numRuns: 1_000 },
  );
  // It is about crashes, lost commits and all ways to fail: they must have come up.
  for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(20);
}, 60_000);
