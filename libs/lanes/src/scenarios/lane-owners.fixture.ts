import { type Clock, type LaneEvent, isDecided, type LoadedHead, laneId } from '#contracts';
import { HeadTable } from '../runner/head-table.js';
import { IdleHeads } from '../runner/idle-heads.js';
import type { Lane } from '../lane/lane.js';
import type { FormerOwners } from '../runner/handoffs.js';
import { cancelOrder } from './lane-process.fixture.js';
import { MEMORY_LIMITS } from '../runner/lane-runner-options.js';
import type { LaneRunner } from '../runner/lane-runner.js';
import {
  makeRunner,
  ManualClock,
  MemoryInbox,
  MemoryRecords,
  MemoryStore,
  rawMessage,
  sessionKey,
  type StartedTurn,
} from './lane-runner.fixture.js';
import { GuardedTurns, ModelGuard } from './lane-owners-guard.fixture.js';
import { noneSeen, SESSIONS, verdictOn, type Plan } from './lane-owners-plan.fixture.js';
import type { LaneProgress } from '../runner/shard-lanes.js';
import type { TurnPolicy } from '../turn-rules/turn-policy.js';

/**
 * A shard that goes from process to process by chance: handed over while turns run, lost by one that goes on, left behind
 * by one that is gone, and back again; while formerOwners end too, turns fail, and cancels come.
 */

const POLICY: TurnPolicy = {
  turnTimeoutMs: 3_000,
  abortGraceMs: 20,
  maxAttempts: 3,
  backoffInitialMs: 30,
  backoffMaxMs: 100,
  retryLaterMaxMs: 400,
  laneBuffer: 512,
};

export class World {
  readonly clock = new ManualClock();
  readonly records = new MemoryRecords();
  readonly inbox: (Omit<Plan['arrivals'][number], 'atMs' | 'shift'> & {
    readonly at: number;
    readonly sequence: number | undefined;
  })[] = [];
  readonly processes: Process[] = [];
  readonly gone = new Set<string>();
  readonly violations: string[] = [];
  readonly guard = new ModelGuard(this.clock);
  readonly seen = noneSeen();
  readonly events: LaneEvent[] = [];
  readonly formerOwners: FormerOwners = {
    isGone: (holder) => Promise.resolve(this.gone.has(holder)),
    // Every second one does not arrive.
    passCancel: (holder, key, target) => {
      if (this.nextDelayMs() % 2 === 0) this.processOf(holder)?.runner.work.cancelInHandoff(key, target);
    },
  };
  /** What the shard's entry says. */
  private stored: LaneProgress = { read: 0, tail: 0, open: [] };
  private owner: Process | undefined;
  private picks = { delay: 0, length: 0, end: 0 };
  /** Attempts that were put off: the same one is made again. */
  readonly putOff = new Set<string>();
  /** From then on every process has the agent. */
  private isAgentEverywhere = false;

  constructor(readonly plan: Plan) {
    for (const { atMs: at, shift, ...arrival } of plan.arrivals) {
      this.clock.after(at, () => {
        const sequence = this.nextNumber(arrival.session, shift);
        this.inbox.push({ ...arrival, sequence, at: this.clock.now() });
        this.owner?.wake();
      });
    }
    for (const { atMs: at, kind, back } of plan.moves) this.clock.after(at, () => this.move(kind, back));
    for (const { atMs: at, process, byMs } of plan.clocks.jumps)
      this.clock.after(at, () => this.processes.at(process)?.setWall(byMs));
    this.clock.after(0, () => this.give(0, false));
    this.clock.after(AGENT_COMES_MS, () => this.giveAgent());
    const write = this.records.write.bind(this.records);
    this.records.write = (session, ...rest) => {
      const outcome = write(session, ...rest);
      if (outcome.kind === 'won') this.checkDead(session);
      return outcome;
    };
  }

  private giveAgent(): void {
    this.isAgentEverywhere = true;
    const { owner } = this;
    if (owner === undefined || owner.isReleasing) return void this.clock.after(50, () => this.giveAgent());
    if (!owner.hasAgent) void this.handOver(owner, 99);
  }

  /** Whether the next process has the agent. */
  get nextHasAgent(): boolean {
    const { lacks } = this.plan;
    return this.isAgentEverywhere || lacks[this.processes.length % lacks.length] !== true;
  }

  /** A crash behind the record must not leave a failed task free. */
  private checkDead(session: string): void {
    const last = this.records.of(session).at(-1);
    if (last?.kind !== 'turn') return;
    for (const { seq, decision } of last.messages) {
      const key = decision === 'dead' ? this.inbox[seq - 1]?.task : undefined;
      if (key !== undefined && this.guard.isRunBy(key, last.runId))
        this.violations.push(`${key} is dead, and runs (G2)`);
    }
  }

  /** Dense, but for what overtakes: then a number stays out, and comes with a later message or never. */
  private nextNumber(session: string, shift: number): number | undefined {
    if (!this.plan.numbered.includes(session)) return undefined;
    const used = new Set(this.inbox.filter((entry) => entry.session === session).map(({ sequence }) => sequence));
    const ahead = Math.abs(shift);
    let free = 1;
    while (used.has(free) || used.has(free + ahead)) free++;
    return free + ahead;
  }

  nextDelayMs(): number {
    return this.plan.delays[this.picks.delay++ % this.plan.delays.length] ?? 0;
  }
  nextTurn(): { readonly lengthMs: number; readonly kind: Plan['ends'][number] } {
    const { lengths, ends } = this.plan;
    return {
      lengthMs: lengths[this.picks.length++ % lengths.length] ?? 0,
      kind: ends[this.picks.end++ % ends.length] ?? 'end',
    };
  }

  private processOf(worker: string): Process | undefined {
    return this.processes.find((process) => process.worker === worker);
  }

  private move(kind: Plan['moves'][number]['kind'], back: number): void {
    const { owner } = this;
    if (kind === 'end a holder') {
      const holder = this.processes.find(
        (each) => each !== owner && !this.gone.has(each.worker) && each.turns.active.size > 0,
      );
      if (holder === undefined) return;
      holder.die();
      this.gone.add(holder.worker);
      this.seen.formerOwners++;
    } else if (owner === undefined) return;
    else if (kind === 'save') this.save(owner.runner.progress(0));
    else if (kind === 'hand over') void this.handOver(owner, back);
    else this.takeFrom(owner, kind);
  }

  private async handOver(owner: Process, back: number): Promise<void> {
    if (owner.isReleasing) return;
    owner.isReleasing = true;
    const progress = await owner.runner.releaseShard(0);
    // It may have been lost in the meantime.
    if (this.owner !== owner) return;
    owner.isReleasing = false;
    this.save(progress);
    this.owner = undefined;
    this.seen.handedOver++;
    this.seen.held += progress.open.filter(({ holder }) => holder !== undefined).length;
    this.clock.after(this.nextDelayMs(), () => this.give(back, false));
  }

  private takeFrom(owner: Process, kind: 'crash' | 'lose'): void {
    this.owner = undefined;
    this.gone.add(owner.worker);
    owner.mayStart = false;
    this.seen[kind === 'crash' ? 'crashed' : 'lost']++;
    if (kind === 'crash') owner.die();
    else {
      this.clock.after(this.nextDelayMs() * 10, () => {
        owner.runner.dropShard(0);
        void owner.runner.work.discardOverrun();
      });
    }
    this.clock.after(40, () => this.give(99, true));
  }

  private give(back: number, isCrash: boolean): void {
    const living = this.processes.filter(
      ({ worker, hasAgent }) => !this.gone.has(worker) && (hasAgent || !this.isAgentEverywhere),
    );
    const former = living[back];
    const next = former ?? new Process(this, `w/${this.processes.length}`);
    if (former === undefined) this.processes.push(next);
    if (this.stored.open.some(({ holder }) => holder === next.worker)) this.seen.toItself++;
    this.owner = next;
    if (!next.hasAgent) this.seen.lacking++;
    const { tail } = this.records;
    // An owner that takes over from one that is gone asks for the last record and the last message.
    next.open(isCrash ? { ...this.stored, tail, crash: { tail, upTo: this.inbox.length } } : this.stored);
  }

  /** Every entry that is written claims no more than is true. */
  private save(progress: LaneProgress | undefined): void {
    if (progress === undefined) return;
    this.stored = progress;
    for (const [i, { session }] of this.inbox.entries()) {
      const seq = i + 1;
      if (seq > progress.read || isDecided(this.records.head(session).head, seq)) continue;
      const from = progress.open.find((lane) => lane.session === laneId(sessionKey(session)))?.from;
      if (from === undefined || from > seq) this.violations.push(`${session}/${seq} is not decided, nor open (L3)`);
    }
  }

  /** What the owner remembers of a session is what its last record says. */
  remember(process: Process, { key: { sessionToken: session } }: Lane, { head: { upto }, seq }: LoadedHead): void {
    if (process !== this.owner) return;
    this.seen.remembered++;
    const last = this.records.head(session);
    if (last.seq !== seq) this.violations.push(`${session} is remembered at record ${seq}, and is at ${last.seq}`);
    for (const [i, entry] of this.inbox.entries()) {
      if (entry.session !== session || isDecided(last.head, i + 1) === i + 1 <= upto) continue;
      this.violations.push(
        `${session}/${i + 1} is remembered as ${i + 1 <= upto ? 'decided' : 'open'}, and is not (L1 L3)`,
      );
    }
  }

  begin(process: Process, turn: StartedTurn): void {
    const { session } = turn;
    const { head } = this.records.head(session);
    for (const { seqs, rest } of [head.run, ...(head.runs ?? [])].filter((run) => run !== null)) {
      const parts = rest === undefined ? [] : [seqs, ...rest];
      const part = parts.find((each) => each.some((seq) => turn.seqs.includes(seq)));
      if (part !== undefined && !turn.seqs.every((seq) => part.includes(seq)))
        this.violations.push(`${session}: ${turn.seqs.join(' ')} begins though it was split (L7)`);
    }
    const key = turn.batch.task?.key;
    for (const { turns, worker } of this.processes) {
      // A retry may be due before the former owner has heard that its note stands, and it may die before it does: what counts
      // is what its handlers are at work under.
      const held = turns === process.turns ? [] : turns.tokensAtWork;
      const shared = held.filter((token) => process.turns.tokens.includes(token));
      if (shared.length > 0) this.violations.push(`${worker} and ${process.worker} hold token ${shared[0]} (G4)`);
    }
    for (const other of this.processes) {
      if (key === undefined || this.gone.has(other.worker)) continue;
      const same = [...other.turns.active.values()].filter((each) => each !== turn && each.batch.task?.key === key);
      if (same.length > 0) this.violations.push(`${key} runs in ${same[0]?.batch.runId} and ${turn.batch.runId} (G1)`);
    }
    for (const other of this.processes) {
      if (other === process || this.gone.has(other.worker) || other.turns.of(session).length === 0) continue;
      this.violations.push(`${session} runs at ${other.worker} and ${process.worker} (L1)`);
    }
  }
}

/** Behind all that happens by chance. */
const AGENT_COMES_MS = 4_000;

/** Of one bucket, so that the table has to forget. */
class ModelHeads extends IdleHeads {
  constructor(private readonly onTake: (lane: Lane, known: LoadedHead) => void) {
    super(new HeadTable(256));
  }

  override take(lane: Lane, firstSeq: number): LoadedHead | undefined {
    const known = super.take(lane, firstSeq);
    if (known !== undefined) this.onTake(lane, known);
    return known;
  }
}

class Process {
  isDead = false;
  isReleasing = false;
  mayStart = true;
  readonly hasAgent: boolean;
  readonly turns: GuardedTurns;
  readonly runner: LaneRunner;
  private readonly clock: Clock;
  /** How far its wall clock is ahead of that of the broker - ms. */
  private skewMs: number;
  private position = 0;
  private catchUpAt = 0;
  private start: LaneProgress = { read: 0, tail: 0, open: [] };
  private isAwake = false;

  constructor(
    private readonly world: World,
    readonly worker: string,
  ) {
    const { clock, records, formerOwners, plan } = world;
    this.hasAgent = world.nextHasAgent;
    this.skewMs = plan.clocks.skewsMs[world.processes.length % plan.clocks.skewsMs.length] ?? 0;
    this.clock = {
      now: () => clock.now() + this.skewMs,
      monotonic: () => clock.monotonic(),
      after: (delayMs, fn) => clock.after(delayMs, () => void (this.isDead || fn())),
    };
    this.turns = new GuardedTurns(
      ...([world.guard, worker, () => this.pass(), (turn: StartedTurn) => this.begin(turn), world.violations] as const),
    );
    this.turns.policy = { ...POLICY, laneBuffer: plan.laneBuffer };
    this.turns.queueing = plan.queueing;
    if (!this.hasAgent) this.turns.agents = new Set();
    const store = new MemoryStore(records, () => this.pass());
    this.runner = makeRunner({
      ...{ store, turns: this.turns, clock: this.clock, worker, formerOwners, capacity: plan.capacity },
      mayStart: () => this.mayStart,
      agentMissingMs: plan.agentMissingMs,
      onEvent: (_key, event) => void world.events.push(event),
      inbox: new MemoryInbox(() => this.pass()),
      memory: { ...MEMORY_LIMITS, idleLanes: plan.idleLanes },
      heads: new ModelHeads((lane, known) => world.remember(this, lane, known)),
    });
    this.runner.dropShard(0);
  }

  setWall(byMs: number): void {
    this.skewMs += byMs;
  }

  die(): void {
    this.isDead = true;
    this.turns.lapse();
  }

  open(start: LaneProgress): void {
    this.start = start;
    this.position = 0;
    this.catchUpAt = Math.max(this.world.inbox.length, start.read);
    this.runner.openShard(0, start);
    if (this.catchUpAt === 0) this.runner.caughtUp(0);
    this.wake();
  }

  wake(): void {
    if (this.isAwake || this.isReleasing) return;
    this.isAwake = true;
    this.clock.after(this.world.nextDelayMs(), () => {
      this.isAwake = false;
      this.read();
    });
  }

  /** The open lanes first, then the shard from where it was read to. */
  private read(): void {
    const { inbox } = this.world;
    for (let i = 0; i < 3; i++) {
      const entry = inbox[this.position];
      if (entry === undefined || this.isReleasing) return;
      const seq = ++this.position;
      const from = this.start.open.find(({ session }) => session === laneId(sessionKey(entry.session)))?.from;
      if (seq > this.start.read || (from !== undefined && from <= seq)) this.receive(seq);
      if (seq === this.start.read) {
        for (const session of SESSIONS) this.runner.receivedOpen(sessionKey(session));
      }
      if (seq === this.catchUpAt) this.runner.caughtUp(0);
    }
    this.wake();
  }

  private receive(seq: number): void {
    const { session = '', kind, strategy, sequence, task, at = 0 } = this.world.inbox[seq - 1] ?? {};
    const before = this.world.inbox.findIndex((entry) => entry.session === session) + 1;
    const body = {
      message: {
        ...(strategy === undefined ? {} : { strategy }),
        ...(sequence === undefined ? {} : { sequence }),
        ...(task === undefined ? {} : { task }),
      },
      broken: 'broken',
      cancel: cancelOrder({ what: 'session' }),
      'cancel one': cancelOrder({ what: 'message', seq: before }),
    }[kind ?? 'message'];
    this.runner.receive(sessionKey(session), { ...rawMessage(seq, body), storedAtMs: at });
  }

  private pass(): Promise<void> {
    return new Promise((resolve) => void this.clock.after(this.world.nextDelayMs(), resolve));
  }

  private begin(turn: StartedTurn): void {
    this.world.begin(this, turn);
    const { lengthMs, kind } = this.world.nextTurn();
    if (kind === 'hang') turn.signal.addEventListener('abort', () => this.clock.after(lengthMs % 30, () => turn.end()));
    else if (kind === 'later') this.clock.after(lengthMs, () => this.putOff(turn, lengthMs));
    else if (kind === 'verdict') this.clock.after(lengthMs, () => turn.end({ failed: verdictOn(turn.seqs) }));
    else if (kind === 'refuse') this.clock.after(lengthMs, () => turn.fail('Refused', 'split'));
    else this.clock.after(lengthMs, () => (kind === 'end' ? turn.end() : turn.fail('Chance')));
  }

  private putOff(turn: StartedTurn, lengthMs: number): void {
    this.world.putOff.add(`${turn.batch.runId} ${turn.batch.attempt}`);
    this.world.seen.putOff++;
    turn.fail('Later', { laterMs: lengthMs % 2 === 0 ? 0 : 150 });
  }
}
