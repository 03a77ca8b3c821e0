import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decide, isDecided } from './head.js';
import type { LaneRunner } from './lane-runner.js';
import {
  makeRunner,
  ManualClock,
  ManualTurns,
  MemoryRecords,
  MemoryStore,
  rawMessage,
  sessionKey,
  settled,
} from './lane-runner.fixture.js';

/**
 * The whole machine against chance: messages arrive, turns last and fail, writes are late, whole processes die (some of
 * them only seem to, and go on writing), and others write records of their own.
 */

const SESSIONS = ['a', 'b', 'c'];
const ROUTES = ['', 'x', 'y'];
const REPLACED_MS = 40;

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
  capacity: fc.integer({ min: 1, max: 4 }),
  readAtOnce: fc.integer({ min: 1, max: 6 }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

class World {
  readonly clock = new ManualClock();
  readonly records = new MemoryRecords();
  readonly inbox: Message[] = [];
  readonly batches = new Map<string, string>();
  readonly seen = { lost: 0, again: 0, broken: 0 };
  private process: Process | undefined;
  private turns = 0;
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
  private readonly storedBefore: number;
  private position = 0;
  private isAwake = false;

  constructor(private readonly world: World) {
    const { clock, records, plan } = world;
    const turns = new ManualTurns(({ session, seqs, batch, end, fail }) => {
      const messages = JSON.stringify(seqs);
      const known = world.batches.get(batch.runId) ?? messages;
      if (world.batches.has(batch.runId)) world.seen.again++;
      world.batches.set(batch.runId, messages);
      if (known !== messages) throw new Error(`run ${batch.runId} of ${session} had ${known}, has ${messages} (L7)`);
      const lengthMs = world.nextLengthMs();
      clock.after(lengthMs, () => (lengthMs % 5 === 1 ? fail('Chance') : end()));
    });
    const pass = (): Promise<void> =>
      new Promise((resolve) => {
        // A request that was sent before a crash may still come to the broker after it; nothing is sent later.
        if (!this.isDead) clock.after(world.nextDelayMs(), resolve);
      });
    const store = new MemoryStore(records, pass);
    const write = store.write.bind(store);
    store.write = async (...args) => {
      const outcome = await write(...args);
      if (outcome.kind === 'lost') world.seen.lost++;
      return this.isDead ? { kind: 'abandoned' } : outcome;
    };
    this.runner = makeRunner({ store, turns, clock, capacity: plan.capacity });
    this.storedBefore = world.inbox.length;
    if (this.storedBefore === 0) this.runner.caughtUp(0);
    this.wake();
  }

  wake(): void {
    if (this.isAwake) return;
    this.isAwake = true;
    this.world.clock.after(this.world.nextDelayMs(), () => this.read());
  }

  private read(): void {
    this.isAwake = false;
    const { inbox, plan } = this.world;
    for (let i = 0; i < plan.readAtOnce && this.isReading; i++) {
      const message = inbox[this.position];
      if (message === undefined) return;
      this.position++;
      const body = message.isBroken ? 'broken' : message.route === '' ? {} : { thread: message.route };
      this.runner.receive(sessionKey(message.session), rawMessage(message.seq, body), message.seq <= this.storedBefore);
      if (this.position === inbox.length) this.runner.caughtUp(0);
    }
    if (this.isReading && this.position < inbox.length) this.wake();
  }
}

function check(world: World): void {
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
    for (const record of records) {
      if (record.kind !== 'turn') continue;
      expect(JSON.stringify(record.messages.map(({ seq }) => seq))).toBe(world.batches.get(record.runId));
    }
    const rejected = records.flatMap((r) =>
      r.messages.filter(({ decision }) => decision === 'rejected').map(({ seq }) => seq),
    );
    for (const seq of rejected) expect(world.inbox[seq - 1]?.isBroken).toBe(true);
    world.seen.broken += rejected.length;
  }
}

it('L1 L2 L3 L7 every message is decided once and in order, whatever dies, comes late, or writes beside', async () => {
  const seen = { lost: 0, again: 0, broken: 0 };
  await fc.assert(
    fc.asyncProperty(scenario, async (plan) => {
      const world = new World(plan);
      await world.clock.runOut();
      await settled();
      check(world);
      for (const what of ['lost', 'again', 'broken'] as const) seen[what] += world.seen[what];
    }),
    { numRuns: 400 },
  );
  // It is about crashes and lost commits: they must have come up.
  expect(Math.min(seen.lost, seen.again, seen.broken)).toBeGreaterThan(20);
}, 60_000);
