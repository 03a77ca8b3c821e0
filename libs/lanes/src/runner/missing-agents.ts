import { makeRunId, type Clock, type DeadLetter, type MessageDecision, MAX_RECORD_MESSAGES } from '#contracts';
import type { Logger } from '#telemetry';
import type { AgentNeed } from './agent-needs.js';
import { withinHoles } from '../lane/cursor-bound.js';
import type { InboxItem } from '../backlog/inbox-item.js';
import type { InboxSource } from '../ports.js';
import type { ShardLanes } from './shard-lanes.js';
import type { LaneTime } from '../lane/lane-time.js';
import type { RecordWriter } from '../records/record-writer.js';
import type { Lane } from '../lane/lane.js';

/**
 * The lanes whose agent this process lacks: they are told of (once in the log, as counts, and as what their shards need), and
 * what has waited for too long ends as dead letters, so that it does not keep the inbox for ever.
 *
 * A message has waited for its agent for as long as it is stored, and no longer than its shard's owners, one after another,
 * have lacked the agent: one that was old before, behind a long backlog, is not ended by an agent that is away for a minute.
 */
export interface MissingAgentsOptions {
  readonly shards: ReadonlyMap<number, ShardLanes>;
  readonly inbox: InboxSource;
  readonly clock: Clock;
  readonly time: LaneTime;
  /** Whether this process certainly owns the shard now (L4). */
  readonly mayStart: (shard: number) => boolean;
  /** How long a message waits for its agent at most - ms. */
  readonly agentMissingMs: number;
  readonly log: Logger;
}

/** How often it is looked for what has waited for too long, in parts of the time that it may wait. */
const LOOKS = 10;
const LEAST_LOOK_MS = 100;
const LONGEST_LOOK_MS = 60_000;
/** What a lease says of a wait grows in steps of this part: each step is a write of the lease. */
const STEPS = 1_000;
const LEAST_STEP_MS = 1_000;
/** Publishers choose the names: so many are told of, in the log and as counts. */
const MAX_TOLD = 256;
const MAX_COUNTED = 16;

export class MissingAgents {
  private readonly told = new Set<string>();
  private cancelLook: (() => void) | undefined;
  private isLooking = false;

  constructor(
    private readonly options: MissingAgentsOptions,
    private readonly writer: RecordWriter,
    private readonly drive: (lane: Lane) => void,
  ) {}

  /** The lane has nothing to do but to wait for its agent, if at all. */
  watch(lane: Lane): void {
    const { waitingForAgent, needs } = lane.home as ShardLanes;
    if (lane.undecidedFrom === undefined) return void waitingForAgent.delete(lane);
    if (waitingForAgent.has(lane)) return;
    waitingForAgent.set(lane, 0);
    const agent = agentOf(lane);
    needs?.waitsFor(agent, this.options.time.read());
    this.tell(agent);
    this.lookLater();
  }

  /** No shard is left. */
  stop(): void {
    this.cancelLook?.();
    this.cancelLook = undefined;
  }

  /** Sessions that wait, by the agent that they wait for; some of the agents, when they are many. */
  get counts(): Readonly<Record<string, number>> {
    const counts = new Map<string, number>();
    for (const { waitingForAgent } of this.options.shards.values())
      for (const lane of waitingForAgent.keys()) counts.set(agentOf(lane), (counts.get(agentOf(lane)) ?? 0) + 1);
    return Object.fromEntries([...counts].slice(0, MAX_COUNTED));
  }

  /** What the shard needs. `isExact`: to the ms, for an owner that comes next. */
  needsOf(home: ShardLanes, isExact = false): readonly AgentNeed[] {
    const { needs } = home;
    if (needs === undefined) return [];
    const waiting = new Set<string>();
    for (const lane of home.maybeOpen)
      if (lane.isAgentMissing && lane.undecidedFrom !== undefined) waiting.add(agentOf(lane));
    const isPartial = !home.isCaughtUp || home.isBehind || home.loading > 0;
    const isUsed = (agent: string): boolean => [...home.all].some((lane) => agentOf(lane) === agent);
    const stepMs = isExact ? 1 : Math.max(LEAST_STEP_MS, this.options.agentMissingMs / STEPS);
    return needs.list({ waiting, isPartial, isUsed }, this.options.time.read(), stepMs);
  }

  private tell(agent: string): void {
    if (this.told.has(agent) || this.told.size >= MAX_TOLD) return;
    this.told.add(agent);
    this.options.log.warn(
      { agent },
      `messages wait for agent ${agent}, which this process does not have: they run when a worker that has it owns their ` +
        'shard. Is its name written right in the settings? POST /v1/agents/<agent>/sessions/<session>/cancel ends them',
    );
  }

  private lookLater(): void {
    const { clock, agentMissingMs } = this.options;
    if (this.cancelLook !== undefined || this.isLooking) return;
    const delayMs = Math.min(LONGEST_LOOK_MS, Math.max(LEAST_LOOK_MS, agentMissingMs / LOOKS));
    this.cancelLook = clock.after(delayMs, () => {
      this.cancelLook = undefined;
      void this.look();
    });
  }

  /** One lane after another: the bodies of all of them would be too many at once. */
  private async look(): Promise<void> {
    const { shards, clock, log } = this.options;
    this.isLooking = true;
    try {
      for (const home of shards.values())
        for (const [lane, lookAt] of [...home.waitingForAgent])
          if (lookAt <= clock.now() && this.isOverdue(lane)) await this.end(lane);
    } catch (error) {
      log.error({ error: String(error) }, 'what waits for a missing agent cannot be looked through');
    }
    this.isLooking = false;
    if ([...shards.values()].some(({ waitingForAgent }) => waitingForAgent.size > 0)) this.lookLater();
  }

  private isOverdue(lane: Lane): boolean {
    const { time, agentMissingMs } = this.options;
    const { needs } = lane.home as ShardLanes;
    return (needs?.waitedMs(agentOf(lane), time.read()) ?? 0) >= agentMissingMs;
  }

  private async end(lane: Lane): Promise<void> {
    const { inbox, clock, agentMissingMs, log } = this.options;
    const { waitingForAgent } = lane.home as ShardLanes;
    while (this.mayDecide(lane)) {
      const seqs = lane.backlog.beyond.slice(0, MAX_RECORD_MESSAGES);
      if (seqs.length === 0) return;
      const part = await inbox.read(lane.key, seqs, lane.backlog.bytesPerRead);
      if (part === undefined || !this.mayDecide(lane)) return;
      // Not what it was before: in between it may have been driven, and have parked.
      const { backlog } = lane;
      const read = part.messages.map((raw) => lane.readItem(raw));
      backlog.peek(seqs, read, part.readTo);
      const [first] = backlog.peeked;
      const young = backlog.peeked.findIndex(({ storedAtMs }) => clock.now() - storedAtMs < agentMissingMs);
      const due = withinHoles(lane, young === -1 ? backlog.peeked : backlog.peeked.slice(0, young));
      if (due.length === 0 && first !== undefined) {
        waitingForAgent.set(lane, first.storedAtMs + agentMissingMs);
        backlog.unpeek();
        return lane.park();
      }
      if (due.length === 0) {
        this.drive(lane);
        continue;
      }
      const ended = this.endingOf(lane, due);
      log.warn({ ...lane.key, seqs: due.map(({ seq }) => seq) }, 'messages end dead: no worker has their agent');
      const result = await this.writer.bury(lane, ended.messages, ended.letters, () => this.isOurs(lane));
      backlog.unpeek();
      if (result === 'unsendable') lane.isStopped = true;
      this.drive(lane);
      if (result !== 'won') return;
    }
  }

  private endingOf(lane: Lane, items: readonly InboxItem[]): { messages: MessageDecision[]; letters: DeadLetter[] } {
    const deadAt = this.options.clock.now();
    const agent = agentOf(lane);
    const runs = lane.frozenRuns.flatMap(({ next }) => next ?? []);
    const messages: MessageDecision[] = [];
    const letters: DeadLetter[] = [];
    for (const { id, seq, content } of items) {
      if (!content.ok) messages.push({ id, seq, decision: 'rejected', reason: content.problem });
      if (!content.ok || content.message.kind !== 'message') continue;
      messages.push({ id, seq, decision: 'dead', reason: 'agent-missing' });
      const run = runs.find(({ seqs }) => seqs.includes(seq));
      letters.push({
        ...{ v: 1, messageId: id, seq, status: 'failed', deadAt, message: content.message },
        runId: run?.runId ?? makeRunId(lane.key, [seq]),
        attempts: Math.max(0, (run?.attempt ?? 1) - 1),
        error: {
          name: 'agent-missing',
          message: `no worker had agent ${agent} for ${this.options.agentMissingMs} ms (inbox.agentMissingMs)`,
        },
      });
    }
    return { messages, letters };
  }

  private mayDecide(lane: Lane): boolean {
    const isFree = lane.isOpen && lane.handoff === undefined && lane.writing === undefined && !lane.isContested;
    return isFree && lane.undecidedFrom !== undefined && lane.backlog.cancelOrders.length === 0 && this.isOurs(lane);
  }

  private isOurs({ home, isStopped }: Lane): boolean {
    return home.state === 'open' && !isStopped && this.options.mayStart(home.shard);
  }
}

function agentOf({ id }: Lane): string {
  return id.slice(0, id.indexOf('.'));
}
