import type { AgentNeed, AgentNeeds } from './agent-needs.js';
import type { Lane } from '../lane/lane.js';
import type { LaneHome } from '../lane/lane-view.js';

/** A session with something undecided, as the next owner of its shard has to know it. */
export interface OpenLane {
  /** `<agentToken>.<sessionToken>` */
  readonly session: string;
  /** The lowest sequence of it that is not decided. */
  readonly from: number;
  /** The incarnation that still runs a turn of it. */
  readonly holder?: string | undefined;
  /** The session's last record when the handoff began. */
  readonly since?: number | undefined;
}

/** How far a shard is decided: everything up to `read`, but for the open lanes. */
export interface LaneProgress {
  readonly read: number;
  /** Highest sequence of a record that is known here. */
  readonly tail: number;
  readonly open: readonly OpenLane[];
  /** An owner that is gone may have begun turns with messages up to `upTo`, in sessions that have no record behind `tail`. */
  readonly crash?: { readonly upTo: number; readonly tail: number } | undefined;
  /** Agents that its messages need of the owner of the shard; absent = none that is told of. */
  readonly needs?: readonly AgentNeed[] | undefined;
}

let openings = 0;

/** The lanes of a shard while this process owns it. */
export class ShardLanes implements LaneHome {
  /** No other opening of a shard by this process has it. */
  readonly opening = ++openings;
  state: LaneHome['state'] = 'open';
  isCaughtUp = false;
  private readonly lanes = new Map<string, Lane>();
  /** Every lane that may have something undecided, and some that have not. */
  private readonly maybeUndecided = new Set<Lane>();
  /** Lanes that wait for an agent that this process lacks, and when it is looked again whether they do for too long. */
  readonly waitingForAgent = new Map<Lane, number>();
  needs: AgentNeeds | undefined;
  /** How many of its lanes wait for a slot. */
  waiting = 0;
  /** How many of its lanes wait for the first answer about their head. */
  loading = 0;
  /** No more of it is read for now, since this time by a clock that never goes back - ms; undefined = it is read on. */
  pausedSince: number | undefined;
  isBehind = false;
  /** Told when there is room for more of it again. */
  onRoom: (() => void) | undefined;
  /** Everything of the shard up to here was received. */
  readTo: number;
  private tail: number;
  private readonly crash: LaneProgress['crash'];
  /**
   * Up to this record no process has written since the crash. An owner that takes over from the crash itself finds no such
   * record.
   */
  private readonly unfencedTail: number;

  constructor(
    readonly shard: number,
    { read, tail, crash }: Omit<LaneProgress, 'open'>,
  ) {
    this.readTo = read;
    this.tail = tail;
    this.crash = crash;
    this.unfencedTail = crash !== undefined && crash.tail < tail ? crash.tail : Number.MAX_SAFE_INTEGER;
  }

  find(id: string): Lane | undefined {
    return this.lanes.get(id);
  }

  add(lane: Lane): void {
    this.lanes.set(lane.id, lane);
    this.maybeUndecided.add(lane);
  }

  /** It has nothing to do; it comes anew when it has. */
  remove(lane: Lane): void {
    if (this.lanes.get(lane.id) === lane) this.lanes.delete(lane.id);
    this.maybeUndecided.delete(lane);
    this.waitingForAgent.delete(lane);
  }

  get size(): number {
    return this.lanes.size;
  }

  /** The highest sequence that an owner that is gone may have begun with; 0 = there is none. */
  get maybeBegunUpTo(): number {
    return this.crash?.upTo ?? 0;
  }

  /** Whether an owner that is gone may have begun turns of a session, by its first message and its last record. */
  mayBeCut(firstSeq: number, headSeq: number): boolean {
    return this.crash !== undefined && firstSeq <= this.crash.upTo && headSeq <= this.unfencedTail;
  }

  /** Something of the lane arrived. */
  touch(lane: Lane): void {
    this.maybeUndecided.add(lane);
  }

  /** All messages of the shard up to here were received, or are known to be none. */
  sawUpTo(seq: number): void {
    if (seq > this.readTo) this.readTo = seq;
  }

  sawRecord(seq: number): void {
    if (seq > this.tail) this.tail = seq;
  }

  get busy(): Lane[] {
    return this.open.filter(({ running }) => running.length > 0);
  }

  /** Lanes with something undecided. */
  get open(): Lane[] {
    const open: Lane[] = [];
    for (const lane of this.maybeUndecided) if (isOpen(lane)) open.push(lane);
    return open;
  }

  /** To be called now and then: a lane whose messages are all decided is not looked at again before something arrives. */
  forgetDecided(): void {
    for (const lane of this.maybeUndecided) if (!isOpen(lane)) this.maybeUndecided.delete(lane);
  }

  /** As `open`, some others among them, and one at a time. */
  get maybeOpen(): Iterable<Lane> {
    return this.maybeUndecided;
  }

  get all(): Iterable<Lane> {
    return this.lanes.values();
  }

  /** `self` is named as the holder of what runs. */
  progress(self?: string): LaneProgress {
    const open = this.open.map((lane): OpenLane => {
      const { running, headSeq } = lane;
      const handoff = lane.handoff ?? (running.length === 0 ? lane.unfenced : undefined);
      const session = lane.id;
      const from = lane.undecidedFrom ?? this.readTo;
      if (handoff !== undefined) return { session, from, ...handoff };
      return self !== undefined && running.some(({ isWhole }) => isWhole)
        ? { session, from, holder: self, since: headSeq }
        : { session, from };
    });
    const { crash } = this;
    // It may also have begun turns with what was not read yet: the next owner has to know.
    const isUnfenced = crash !== undefined && (this.readTo < crash.upTo || open.some(({ from }) => from <= crash.upTo));
    return { read: this.readTo, tail: this.tail, open, ...(isUnfenced ? { crash } : {}) };
  }
}

function isOpen({ undecidedFrom, handoff }: Lane): boolean {
  return undecidedFrom !== undefined || handoff !== undefined;
}
