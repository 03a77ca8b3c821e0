import { randomUUID } from 'node:crypto';
import { PerformanceObserver, constants } from 'node:perf_hooks';
import { getHeapSpaceStatistics } from 'node:v8';
import { QUEUE_DEFAULTS, systemClock } from '#contracts';
import { LaneRunner, type RecordStore, type WriteOutcome } from '#lanes';
import { setEngineFlags } from '#roles';
import { silentLogger } from '#telemetry';
import { AgentRunner } from './agent-runner.js';

/**
 * A program for a process of its own: it runs turns as a worker does, on a store in memory, and counts what each leaves
 * behind in the old generation. Nothing collects that in between: what is read is all that has come there, garbage or not.
 */

export interface TurnMemory {
  readonly turns: number;
  /** How much the old generation grew, per turn. */
  readonly bytesPerTurn: number;
  /** Full collections while it was counted: with one of them the figure says nothing. */
  readonly majorCollections: number;
}

/** Few, so that what a session keeps of its last turn is replaced while it is young, and only leaks grow old. */
const SESSIONS = 1_024;
const SHARDS = 16;
/** What is under way at once: many collections of a young process find all of it alive. */
const UNDER_WAY = 256;

/** Answers all writes of one turn of the event loop in the next, as the broker does. */
class DelayedStore implements RecordStore {
  private seq = 0;
  private waiting: ((outcome: WriteOutcome) => void)[] = [];

  async loadHead() {
    const head = { upto: 0, done: [], run: null, nextSequence: null, children: {}, relayed: {} };
    return { head, seq: 0, stateSeq: 0 };
  }

  async loadCutTurn() {
    return undefined;
  }

  watchRecords() {
    return () => {};
  }

  write(): Promise<WriteOutcome> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      if (this.waiting.length === 1) setImmediate(() => this.answer());
    });
  }

  async bury() {
    return true;
  }

  announce() {}

  private answer(): void {
    const answered = this.waiting;
    this.waiting = [];
    for (const resolve of answered) resolve({ kind: 'won', seq: ++this.seq });
  }
}

class Worker {
  private sent = 0;
  private handled = 0;
  private readonly lanes: LaneRunner;

  constructor() {
    const policy = {
      ...{ turnTimeoutMs: 600_000, abortGraceMs: 10_000, maxAttempts: 3 },
      ...{ backoffInitialMs: 1_000, backoffMaxMs: 60_000, retryLaterMaxMs: 3_600_000, laneBuffer: 100 },
    };
    const handler = async (): Promise<string> => {
      this.handled++;
      return 'an answer';
    };
    const agent = { handler, policy, queueing: () => QUEUE_DEFAULTS, isOutside: false };
    this.lanes = new LaneRunner({
      store: new DelayedStore(),
      inbox: { read: async () => ({ messages: [], readTo: 0 }) },
      turns: new AgentRunner(new Map([['main', agent]])),
      holders: { isGone: () => true },
      clock: systemClock,
      newCommitId: randomUUID,
      random: Math.random,
      worker: 'worker/1',
      capacity: 64,
      mayStart: () => true,
      onEvent: () => {},
      log: silentLogger,
    } as unknown as ConstructorParameters<typeof LaneRunner>[0]);
    for (let shard = 0; shard < SHARDS; shard++) {
      this.lanes.openShard(shard, { read: 0, tail: 0, open: [] });
      this.lanes.caughtUp(shard);
    }
  }

  async run(turns: number): Promise<void> {
    const goal = this.handled + turns;
    const last = this.sent + turns;
    while (this.handled < goal) {
      while (this.sent < last && this.sent - this.handled < UNDER_WAY) this.receive();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  private receive(): void {
    const seq = ++this.sent;
    const session = seq % SESSIONS;
    const message = { v: 1, kind: 'message', id: `message-${seq}`, text: `message ${seq}, of a usual length` };
    const data = new TextEncoder().encode(JSON.stringify(message));
    const key = { shard: session % SHARDS, agentToken: 'main', sessionToken: `session-${session}` };
    this.lanes.receive(key, { seq, storedAtMs: Date.now(), data, header: () => '' });
  }
}

function oldBytes(): number {
  return getHeapSpaceStatistics()
    .filter(({ space_name: name }) => name === 'old_space' || name === 'large_object_space')
    .reduce((sum, { space_used_size: bytes }) => sum + bytes, 0);
}

/** Twice: what has survived one of them stays in the young generation, and comes to the old one with the next. */
function collectYoung(): void {
  for (let i = 0; i < 2; i++) void (globalThis.gc as (options: object) => void)({ type: 'minor' });
}

async function measure(warmUp: number, turns: number): Promise<TurnMemory> {
  const worker = new Worker();
  await worker.run(warmUp);
  collectYoung();
  let majorCollections = 0;
  const count = (entries: readonly object[]): void => {
    for (const { detail } of entries as readonly { readonly detail: { readonly kind: number } }[]) {
      if (detail.kind !== constants.NODE_PERFORMANCE_GC_MINOR) majorCollections++;
    }
  };
  const observer = new PerformanceObserver((list) => count(list.getEntries()));
  observer.observe({ entryTypes: ['gc'] });
  const before = oldBytes();
  await worker.run(turns);
  collectYoung();
  const bytesPerTurn = (oldBytes() - before) / turns;
  count(observer.takeRecords());
  return { turns, bytesPerTurn, majorCollections };
}

setEngineFlags();
console.log(`measured ${JSON.stringify(await measure(10_000, 30_000))}`);
// Whatever still holds the event loop must not keep it.
process.exit();
