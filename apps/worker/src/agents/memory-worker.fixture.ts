import { randomUUID } from 'node:crypto';
import { QUEUE_DEFAULTS, systemClock, emptyHead } from '#contracts';
import { HeadTable, IdleHeads, LaneRunner, type RecordStore, type WriteOutcome } from '#lanes';
import { silentLogger } from '#telemetry';
import { AgentRunner, type BoundAgent } from './agent-runner.js';

/** The lanes of a worker with its agents, on a store in memory, for programs that measure their cost. */

const SHARDS = 16;
/** Turns at the same time. They survive many collections of a young process. */
const UNDER_WAY = 256;
const EVERYTHING = 1e12;

/** Answers all writes of one turn of the event loop in the next one, as the broker does. */
class DelayedStore implements RecordStore {
  private seq = 0;
  private waiting: ((outcome: WriteOutcome) => void)[] = [];

  async loadHead() {
    return { head: emptyHead(), seq: 0, stateSeq: 0 };
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

export interface MemoryWorkerOptions {
  readonly sessions: number;
  /** Number of parallel turns. */
  readonly capacity: number;
  /** Default: an agent that answers at once. */
  readonly handler?: BoundAgent['handler'];
  /** Agent of the messages - default: that of the worker. */
  readonly agent?: string;
}

export class MemoryWorker {
  private sent = 0;
  private handled = 0;
  readonly lanes: LaneRunner;

  constructor(private readonly options: MemoryWorkerOptions) {
    const policy = {
      ...{ turnTimeoutMs: 600_000, abortGraceMs: 10_000, maxAttempts: 3 },
      ...{ backoffInitialMs: 1_000, backoffMaxMs: 60_000, retryLaterMaxMs: 3_600_000, laneBuffer: 100 },
    };
    const answer = async (): Promise<string> => {
      this.handled++;
      return 'an answer';
    };
    const { handler = answer, capacity } = options;
    const agent = { handler, policy, queueing: () => QUEUE_DEFAULTS, isOutside: false };
    this.lanes = new LaneRunner({
      store: new DelayedStore(),
      inbox: { read: async () => ({ messages: [], readTo: 0 }) },
      turns: new AgentRunner(new Map([['main', agent]])),
      heads: new IdleHeads(new HeadTable(0)),
      formerOwners: { isGone: async () => true, passCancel: () => {} },
      clock: systemClock,
      newCommitId: randomUUID,
      random: Math.random,
      worker: 'worker/1',
      capacity,
      memory: {
        bodyBytes: EVERYTHING,
        openLanes: EVERYTHING,
        idleLanes: EVERYTHING,
        idleBytes: EVERYTHING,
        idleMs: EVERYTHING,
      },
      mayStart: () => true,
      onEvent: () => {},
      log: silentLogger,
    });
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

  receive(): void {
    const seq = ++this.sent;
    const session = seq % this.options.sessions;
    const message = { v: 1, kind: 'message', id: `message-${seq}`, text: `message ${seq}, of a usual length` };
    const data = new TextEncoder().encode(JSON.stringify(message));
    const { agent: agentToken = 'main' } = this.options;
    const key = { shard: session % SHARDS, agentToken, sessionToken: `session-${session}` };
    this.lanes.receive(key, { seq, storedAtMs: Date.now(), data, header: () => '' });
  }
}
