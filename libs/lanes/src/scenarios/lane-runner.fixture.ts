import {
  headOf,
  MAX_RECORD_BYTES,
  parseRecord,
  QUEUE_DEFAULTS,
  type Clock,
  type DeadLetter,
  type InboxMessage,
  type LaneEvent,
  type QueueSettings,
  type SessionRecord,
  type SessionTokens,
  type TurnStartedEvent,
  emptyHead,
  type LoadedHead,
} from '#contracts';
import { silentLogger, type Logger } from '#telemetry';
import type { RawInboxMessage } from '../backlog/inbox-item.js';
import { HeadTable } from '../runner/head-table.js';
import { IdleHeads } from '../runner/idle-heads.js';
import { MEMORY_LIMITS, type MemoryLimits } from '../runner/lane-runner-options.js';
import { LaneRunner } from '../runner/lane-runner.js';
import type { CutTurn } from '../lane/after-crash.js';
import type { LaneProgress } from '../runner/shard-lanes.js';
import type { FormerOwners } from '../runner/handoffs.js';
import type { AheadSource, InboxPart, InboxSource, RecordStore, TurnRunner, TurnWork, WriteOutcome } from '../ports.js';
import type { TurnOutcome } from '../turn-rules/settlement.js';
import type { TaskRefusal } from '../backlog/task-of-message.js';
import type { TurnPolicy } from '../turn-rules/turn-policy.js';

/** For specs: a broker, a clock and an agent in memory, so that every order of events can be tried by hand. */

export { ManualClock, settled } from '#testing';

interface StoredRecord {
  readonly seq: number;
  readonly record: SessionRecord;
}

/** The stream of records: compare and set on the last record of a session, as the broker does it. */
export class MemoryRecords {
  private lastSeq = 0;
  private readonly sessions = new Map<string, StoredRecord[]>();
  readonly announced: TurnStartedEvent[] = [];
  private readonly cut = new Map<string, CutTurn>();
  /** Dead letters, with how many records their session had when they were stored. */
  readonly buried: { readonly session: string; readonly letter: DeadLetter; readonly records: number }[] = [];
  private readonly watches = new Map<string, Set<() => void>>();
  /** Writes that have come to the broker. */
  writes = 0;

  /** Sequence of the last record of all sessions. */
  get tail(): number {
    return this.lastSeq;
  }

  of(session: string): readonly SessionRecord[] {
    return this.stored(session).map(({ record }) => record);
  }

  head(session: string): LoadedHead {
    const last = this.stored(session).at(-1);
    if (last === undefined) return { head: emptyHead(), seq: 0, stateSeq: 0 };
    const { state, stateSeq } = last.record;
    const head = headOf(last.record);
    if (stateSeq === undefined) {
      return state === undefined
        ? { head, seq: last.seq, stateSeq: 0 }
        : { head: { ...head, state }, seq: last.seq, stateSeq: last.seq };
    }
    const holder = this.stored(session).find(({ seq }) => seq === stateSeq);
    if (holder?.record.state === undefined) throw new Error(`record ${stateSeq} holds no state`);
    return { head: { ...head, state: holder.record.state }, seq: last.seq, stateSeq };
  }

  /** Throws for a record that could not be read back: the session would be stuck after the next restart. */
  write(session: string, body: string, expectedSeq: number): WriteOutcome {
    this.writes++;
    for (const hint of this.watches.get(session) ?? []) hint();
    if ((this.stored(session).at(-1)?.seq ?? 0) !== expectedSeq) return { kind: 'lost', winner: this.head(session) };
    if (Buffer.byteLength(body) > MAX_RECORD_BYTES) return { kind: 'unsendable', description: 'too large' };
    const parsed = parseRecord(body);
    if (!parsed.ok) throw new Error(`unreadable record: ${parsed.problem}`);
    const seq = ++this.lastSeq;
    this.stored(session).push({ seq, record: parsed.record });
    return { kind: 'won', seq };
  }

  announce(session: string, event: TurnStartedEvent, isConcurrent: boolean): void {
    this.announced.push(event);
    if (!isConcurrent) this.cut.set(session, event);
  }

  bury(session: string, letters: readonly DeadLetter[]): void {
    const records = this.stored(session).length;
    for (const letter of letters) this.buried.push({ session, letter: structuredClone(letter), records });
  }

  /** As on the wire: told with the publish, whether it is refused or not. */
  watch(session: string, onHint: () => void): () => void {
    const watches = this.watches.get(session) ?? new Set();
    this.watches.set(session, watches.add(onHint));
    return () => void watches.delete(onHint);
  }

  cutTurn(session: string): CutTurn | undefined {
    return this.cut.get(session);
  }

  private stored(session: string): StoredRecord[] {
    const known = this.sessions.get(session) ?? [];
    this.sessions.set(session, known);
    return known;
  }
}

/** One process' connection to the records. `pass` delays what it asks for; what it never passes never happens. */
export class MemoryStore implements RecordStore {
  constructor(
    readonly records: MemoryRecords,
    private readonly pass: (what: 'head' | 'write' | 'ack' | 'bury') => Promise<void> = () => Promise.resolve(),
  ) {}

  async loadHead(key: SessionTokens): Promise<LoadedHead> {
    await this.pass('head');
    return this.records.head(key.sessionToken);
  }

  async loadCutTurn(key: SessionTokens): Promise<CutTurn | undefined> {
    await this.pass('head');
    return this.records.cutTurn(key.sessionToken);
  }

  async write(key: SessionTokens, body: string, _commitId: string, expectedSeq: number): Promise<WriteOutcome> {
    await this.pass('write');
    const outcome = this.records.write(key.sessionToken, body, expectedSeq);
    await this.pass('ack');
    return outcome;
  }

  async bury(key: SessionTokens, letters: readonly DeadLetter[]): Promise<boolean> {
    await this.pass('bury');
    this.records.bury(key.sessionToken, letters);
    return true;
  }

  watchRecords(key: SessionTokens, onHint: () => void): () => void {
    return this.records.watch(key.sessionToken, onHint);
  }

  announce(key: SessionTokens, event: TurnStartedEvent, isConcurrent: boolean): void {
    this.records.announce(key.sessionToken, event, isConcurrent);
  }
}

/** One attempt and no time limit that a spec would meet by accident. */
/** Drops nothing, so that a spec sees what the lane does with all it got. */
export const UNBOUNDED: QueueSettings = { ...QUEUE_DEFAULTS, maxQueueSize: Number.POSITIVE_INFINITY };

export const POLICY: TurnPolicy = {
  turnTimeoutMs: 300_000,
  abortGraceMs: 5_000,
  maxAttempts: 1,
  backoffInitialMs: 1_000,
  backoffMaxMs: 30_000,
  retryLaterMaxMs: 60_000,
  laneBuffer: 512,
};

export interface StartedTurn extends Omit<TurnWork, 'state'> {
  readonly state: unknown;
  readonly session: string;
  readonly seqs: readonly number[];
  end(outcome?: Partial<Extract<TurnOutcome, { kind: 'succeeded' }>>): void;
  fail(name: string, next?: Extract<TurnOutcome, { kind: 'failed' }>['next']): void;
  /** It does not get its task. */
  refuse(refusal: TaskRefusal): void;
}

/**
 * An agent whose turns end when the spec says so. Two turns of one session that overlap (L1) are a violation: it is
 * thrown, and kept in a list, since for the lane a throw is only the failure of a turn.
 */
export class ManualTurns implements TurnRunner {
  readonly started: StartedTurn[] = [];
  /** Turns whose outcome still counts: by session, and those beside others by `<session>/<first sequence>`. */
  readonly active = new Map<string, StartedTurn>();
  isOutside = false;
  policy = POLICY;
  queueing = UNBOUNDED;
  agents: ReadonlySet<string> = new Set(['main']);

  constructor(
    private readonly onStart: (turn: StartedTurn) => void = () => {},
    readonly violations: string[] = [],
  ) {}

  /** The turns of a session whose outcome still counts. */
  of(session: string): StartedTurn[] {
    return [...this.active.values()].filter((turn) => turn.session === session);
  }

  knows(key: SessionTokens): boolean {
    return this.agents.has(key.agentToken);
  }

  queueingOf(_key: SessionTokens, { strategy }: Pick<InboxMessage, 'strategy'> = {}): QueueSettings {
    return strategy === undefined ? this.queueing : { ...this.queueing, strategy };
  }
  policyOf(): TurnPolicy {
    return this.policy;
  }

  runsOutside(): boolean {
    return this.isOutside;
  }

  run(work: TurnWork): Promise<TurnOutcome> {
    const session = work.key.sessionToken;
    const place = work.batch.isConcurrent ? `${session}/${work.batch.items[0]?.seq}` : session;
    const beside = this.of(session).filter(({ batch }) => batch.isConcurrent).length;
    if (this.active.has(place) || (work.batch.isConcurrent && beside >= this.queueing.maxConcurrent)) {
      this.violations.push(`too many turns of session ${session} at once (L1)`);
      throw new Error('two turns at once');
    }
    return new Promise((resolve) => {
      const leave = (): void => {
        if (this.active.get(place) === turn) this.active.delete(place);
      };
      const finish = (outcome: TurnOutcome): void => {
        leave();
        resolve(outcome);
      };
      const { key, batch, state, deadline } = work;
      const turn: StartedTurn = {
        ...{ key, batch, deadline, session },
        // As its handler would get it.
        state: state?.value,
        get signal() {
          return work.signal;
        },
        onOver: (listener) => work.onOver(listener),
        seqs: batch.items.map(({ seq }) => seq),
        end: (outcome = {}) => finish({ kind: 'succeeded', replies: [], ...outcome }),
        refuse: (refusal) => finish({ kind: 'refused', refusal }),
        fail: (name, next) =>
          finish({ kind: 'failed', error: { name, message: 'on purpose' }, ...(next === undefined ? {} : { next }) }),
      };
      work.onOver(leave);
      this.active.set(place, turn);
      this.started.push(turn);
      this.onStart(turn);
    });
  }
}

export function sessionKey(session: string, agent = 'main'): SessionTokens {
  return { shard: 0, agentToken: agent, sessionToken: session };
}

export function rawMessage(
  seq: number,
  body: object | string = {},
  headers: Record<string, string> = {},
): RawInboxMessage {
  const text =
    typeof body === 'string' ? body : JSON.stringify({ v: 1, kind: 'message', id: `m${seq}`, text: 'x', ...body });
  return { seq, storedAtMs: 900 + seq, data: Buffer.from(text), header: (name) => headers[name] ?? '' };
}

let commits = 0;

export interface RunnerParts {
  readonly store: RecordStore;
  readonly turns: TurnRunner;
  readonly clock: Clock;
  readonly capacity?: number;
  readonly random?: () => number;
  readonly worker?: string;
  readonly formerOwners?: FormerOwners;
  readonly mayStart?: (shard: number) => boolean;
  /** How far a former owner of shard 0 was. */
  readonly from?: LaneProgress;
  /** Keeps what the runner receives. */
  readonly inbox?: MemoryInbox;
  readonly memory?: MemoryLimits;
  /** Default: room for some. */
  readonly heads?: IdleHeads;
  /** What lies in the inbox and is not received. */
  readonly ahead?: AheadSource;
  readonly onEvent?: (key: SessionTokens, event: LaneEvent) => void;
  readonly agentMissingMs?: number;
  readonly log?: Logger;
}

/** What the next owner knows of shard 0 when its former owner is gone and may have begun turns up to `upTo`. */
export function afterCrash(records: MemoryRecords, upTo = Number.MAX_SAFE_INTEGER): LaneProgress {
  const { tail } = records;
  return { read: 0, tail, open: [], crash: { upTo, tail } };
}

/** Has what was received, as the broker would. */
export class MemoryInbox implements InboxSource {
  readonly reads: (readonly number[])[] = [];
  private readonly kept = new Map<string, RawInboxMessage>();

  /** `pass` resolves when a reading comes through. */
  constructor(private readonly pass: () => Promise<void> = () => Promise.resolve()) {}

  keep({ sessionToken }: Pick<SessionTokens, 'sessionToken'>, raw: RawInboxMessage): void {
    this.kept.set(`${sessionToken} ${raw.seq}`, raw);
  }
  remove(sessionToken: string, seq: number): void {
    this.kept.delete(`${sessionToken} ${seq}`);
  }

  async read(
    { sessionToken }: SessionTokens,
    seqs: readonly number[],
    maxBytes: number,
  ): Promise<InboxPart | undefined> {
    this.reads.push(seqs);
    await this.pass();
    const messages: RawInboxMessage[] = [];
    let bytes = 0;
    for (const seq of seqs) {
      const raw = this.kept.get(`${sessionToken} ${seq}`);
      if (raw === undefined) continue;
      messages.push(raw);
      bytes += raw.data.length;
      if (bytes >= maxBytes) return { messages, readTo: seq };
    }
    return { messages, readTo: seqs.at(-1) ?? 0 };
  }
}

export const NO_FORMER_OWNERS: FormerOwners = { isGone: () => Promise.resolve(false), passCancel: () => {} };

/** Owns shard 0. Without `random` the backoffs have no jitter. */
export function makeRunner({ store, turns, clock, ...options }: RunnerParts): LaneRunner {
  const { capacity = 100, random = () => 0.5, worker = 'w/1', formerOwners = NO_FORMER_OWNERS } = options;
  const { mayStart = () => true, from = { read: 0, tail: 0, open: [] } } = options;
  const newCommitId = (): string => `commit-${++commits}`;
  const { inbox = new MemoryInbox(), memory = MEMORY_LIMITS, heads = new IdleHeads(new HeadTable(1_024)) } = options;
  const runner = new LaneRunner({
    ...{
      store,
      inbox,
      heads,
      turns,
      clock,
      capacity,
      random,
      newCommitId,
      worker,
      formerOwners,
      mayStart,
      memory,
    },
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
    ...(options.ahead === undefined ? {} : { ahead: options.ahead }),
    ...(options.agentMissingMs === undefined ? {} : { agentMissingMs: options.agentMissingMs }),
    log: options.log ?? silentLogger,
  });
  const receive = runner.receive.bind(runner);
  runner.receive = (key, raw) => {
    inbox.keep(key, raw);
    receive(key, raw);
  };
  runner.openShard(0, from);
  return runner;
}
