import type { Clock } from '#contracts';
import type { Logger } from '#telemetry';
import type { RawInboxMessage } from './inbox-item.js';
import type { AheadSource } from './lane-ports.js';
import type { ShardLanes } from './lane-table.js';
import { needsReadingAhead } from './lane-unread.js';
import type { Lane } from './lane.js';

export interface LookAheadOptions {
  readonly source: AheadSource;
  readonly clock: Clock;
  readonly shards: ReadonlyMap<number, ShardLanes>;
  /** Takes a message of a lane whose shard is not read so far. */
  readonly receive: (lane: Lane, raw: RawInboxMessage) => void;
  readonly drive: (lane: Lane) => void;
  readonly log: Logger;
}

/** How often the broker is asked for news of what runs: an order to a turn that hangs acts within about twice that. */
const ROUND_MS = 500;
/** The broker and we are busy with it for a tenth of the time at most. */
const PAUSE_TIMES = 9;
const MAX_PAUSE_MS = 10_000;
/** Nor is it asked about lanes that got something a moment ago: where turns are quick, those are nearly all. */
const SETTLED_MS = 500;
/** Of the lanes that do not run, so many are asked about in each round, in turn. */
const OTHERS_PER_ROUND = 1_024;
/** An answer may have a MiB. */
const READ_AT_ONCE = 32;
const RETRY_MS = 250;

/**
 * Reads on for single lanes while their shard is read no further.
 *
 * What lies in the unread part of a shard may be for a lane that is here: an order to the turn that holds up all others
 * (L6), or a message that is dropped because that turn runs. So the broker is asked for the last message of each such
 * session, again and again, and what is new is read by the session's subject. Lanes that run are asked about in every round,
 * the others one part after another. A lane that can go on only when it has everything that is stored (a window, a number
 * that is missing) asks by itself (`want`).
 *
 * L2  A lane gets its messages in order from either side: whoever hands one over has handed over all of the session before
 *     it, and what is known already is not taken twice.
 */
export class LookAhead {
  private readonly wanted = new Set<Lane>();
  private readonly reading = new Set<Lane>();
  private others: Iterator<Lane> | undefined;
  private cancelRound: (() => void) | undefined;
  private isInRound = false;

  constructor(private readonly options: LookAheadOptions) {}

  /** A shard is read no further for now. */
  begin(): void {
    if (this.cancelRound === undefined && !this.isInRound) this.roundAfter(ROUND_MS);
  }

  /** No shard is left. */
  stop(): void {
    this.cancelRound?.();
    this.cancelRound = undefined;
    this.others = undefined;
    this.wanted.clear();
  }

  /** The lane is driven when all of it that is stored now was received. */
  want(lane: Lane): void {
    if (this.reading.has(lane)) return;
    this.wanted.add(lane);
    this.readOn();
  }

  private roundAfter(delayMs: number): void {
    this.cancelRound = this.options.clock.after(delayMs, () => {
      this.cancelRound = undefined;
      void this.round();
    });
  }

  private async round(): Promise<void> {
    const { clock, source, log } = this.options;
    const beganAt = clock.monotonic();
    this.isInRound = true;
    try {
      const lanes = [...this.running(), ...this.nextOthers()];
      const lastSeqs = lanes.length === 0 ? [] : await source.lastSeqs(lanes.map(({ key }) => key));
      for (const [i, lane] of lanes.entries()) {
        if ((lastSeqs[i] ?? 0) > knownUpTo(lane)) this.want(lane);
        // Its window may have ended, or the clock of a gap may not have begun, before its shard was read no further.
        else if (needsReadingAhead(lane, clock.now())) this.options.drive(lane);
      }
    } catch (error) {
      log.debug({ error: String(error) }, 'nobody tells what is new of the sessions that run');
    }
    this.isInRound = false;
    if (this.behind().length === 0) return;
    const pauseMs = PAUSE_TIMES * (clock.monotonic() - beganAt);
    this.roundAfter(Math.min(MAX_PAUSE_MS, Math.max(ROUND_MS, pauseMs)));
  }

  private behind(): ShardLanes[] {
    return [...this.options.shards.values()].filter(({ isBehind, state }) => isBehind && state === 'open');
  }

  /** Those with a turn, here or at a former owner. */
  private running(): Lane[] {
    return this.behind().flatMap(({ open }) => open.filter((lane) => isAtWork(lane) && this.isToAsk(lane)));
  }

  private nextOthers(): Lane[] {
    const lanes: Lane[] = [];
    for (let left = OTHERS_PER_ROUND; left > 0; left--) {
      this.others ??= this.allOpen();
      const next = this.others.next();
      if (next.done === true) {
        this.others = undefined;
        break;
      }
      if (!isAtWork(next.value) && this.isToAsk(next.value)) lanes.push(next.value);
    }
    return lanes;
  }

  /** The clock may have been set back. */
  private isToAsk(lane: Lane): boolean {
    return isKnown(lane) && Math.abs(this.options.clock.now() - lane.lastArrivalAt) >= SETTLED_MS;
  }

  private *allOpen(): Generator<Lane> {
    for (const home of this.behind()) for (const lane of home.maybeOpen) yield lane;
  }

  private readOn(): void {
    for (const lane of this.wanted) {
      if (this.reading.size >= READ_AT_ONCE) return;
      this.wanted.delete(lane);
      this.reading.add(lane);
      void this.read(lane).finally(() => {
        this.reading.delete(lane);
        this.options.drive(lane);
        this.readOn();
      });
    }
  }

  private async read(lane: Lane): Promise<void> {
    const { source, clock, log } = this.options;
    const askedAt = clock.now();
    try {
      if (!isKnown(lane)) return;
      for await (const raw of source.messagesOf(lane.key, knownUpTo(lane) + 1)) {
        if (!isKnown(lane)) return;
        this.options.receive(lane, raw);
      }
      lane.wasReadAt(askedAt);
    } catch (error) {
      log.debug({ ...lane.key, error: String(error) }, 'what is new of a session cannot be read yet');
      // Driven at once it would ask again at once.
      await new Promise<void>((resolve) => void clock.after(RETRY_MS, resolve));
    }
  }
}

function isAtWork(lane: Lane): boolean {
  return lane.hold !== undefined || lane.running.length > 0;
}

/** What an open lane had before the shard's `read` comes first, and by another way. */
function isKnown(lane: Lane): boolean {
  return lane.home.state === 'open' && !lane.isStopped && lane.unreadFrom === undefined;
}

/** Nothing up to here is new. */
function knownUpTo({ backlog, head }: Lane): number {
  return Math.max(backlog.lastSeq, head.upto);
}
