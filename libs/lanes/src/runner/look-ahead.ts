import type { Clock } from '#contracts';
import type { Logger } from '#telemetry';
import type { RawInboxMessage } from '../backlog/inbox-item.js';
import type { AheadSource } from '../ports.js';
import type { ShardLanes } from './shard-lanes.js';
import { needsReadingAhead } from '../lane/needs-reading-ahead.js';
import type { Lane, LaneRun } from '../lane/lane.js';

export interface LookAheadOptions {
  readonly source: AheadSource;
  readonly clock: Clock;
  readonly shards: ReadonlyMap<number, ShardLanes>;
  /** Takes a message of a lane whose shard is not read so far. */
  readonly receive: (lane: Lane, raw: RawInboxMessage) => void;
  readonly drive: (lane: Lane) => void;
  /** When the turn of a run began here, ms since the epoch. */
  readonly startedAt: (run: LaneRun) => number | undefined;
  readonly log: Logger;
}

/** How often the broker is asked for news of what runs: an order to a turn that hangs acts within about twice that. */
const ROUND_MS = 500;
/** The broker and we are busy with it for a tenth of the time at most. */
const PAUSE_TIMES = 9;
const MAX_PAUSE_MS = 10_000;
/**
 * Nor is it asked about what moves: a turn that began a moment ago, and a shard that is read on every now and then. Where turns
 * are quick nearly all lanes have something unread, and reading it here would read everything twice.
 */
const SLOW_TURN_MS = 500;
const LONG_PAUSE_MS = 1_000;
/** Of the lanes that do not run, so many are asked about in each round, in turn. */
const OTHERS_PER_ROUND = 1_024;
/** An answer may have a MiB. */
const READ_AT_ONCE = 32;
const ASKED_AT_ONCE = 128;
const RETRY_MS = 250;

/**
 * Reads on for single lanes while their shard is read no further.
 *
 * What lies in the unread part of a shard may be for a lane that is here: an order to the turn that holds up all others
 * (L6), or a message that is dropped because that turn runs. So the broker is asked for the last message of each such
 * session, again and again, and what is new is read by the session's subject. Lanes whose turn takes its time are asked about
 * in every round; the others of shards that stand still one part after another. A lane that can go on only when it has
 * everything that is stored (a window, a number that is missing) asks by itself (`want`).
 *
 * L2  A lane gets its messages in order from either side: the one that hands it over has handed over all of the session
 *     before it, and what is known already is not taken twice.
 */
export class LookAhead {
  private readonly wanted = new Set<Lane>();
  /** Those of `wanted` of which is known that something new is there, or which can only be read to know. */
  private readonly toRead = new Set<Lane>();
  private isAsking = false;
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
    this.toRead.clear();
  }

  /** The lane is driven when all of it that is stored now was received. */
  want(lane: Lane): void {
    if (this.reading.has(lane) || this.toRead.has(lane)) return;
    if (this.options.source.isExact) {
      this.wanted.add(lane);
      void this.ask();
    } else {
      this.toRead.add(lane);
      this.readOn();
    }
  }

  /** Of many that ask nearly all have nothing new: that costs one answer for all of them. */
  private async ask(): Promise<void> {
    if (this.isAsking) return;
    this.isAsking = true;
    while (this.wanted.size > 0) {
      // What is wanted in the same moment shares the request.
      await undefined;
      await this.askSome([...this.wanted].slice(0, ASKED_AT_ONCE));
    }
    this.isAsking = false;
  }

  private async askSome(lanes: readonly Lane[]): Promise<void> {
    const { source, clock, log, drive } = this.options;
    for (const lane of lanes) this.wanted.delete(lane);
    const askedAt = clock.monotonic();
    try {
      const lastSeqs = await source.lastSeqs(lanes.map(({ key }) => key));
      for (const [i, lane] of lanes.entries()) {
        if (!isKnown(lane)) continue;
        if ((lastSeqs[i] ?? 0) > lane.knownUpTo) this.toRead.add(lane);
        else {
          lane.wasReadAt(askedAt);
          drive(lane);
        }
      }
      this.readOn();
    } catch (error) {
      log.debug({ error: String(error) }, 'the broker does not tell yet what is new of sessions');
      await this.rest();
      for (const lane of lanes) drive(lane);
    }
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
      const lanes = [...this.slow(), ...this.nextOthers()];
      const lastSeqs = lanes.length === 0 ? [] : await source.lastSeqs(lanes.map(({ key }) => key));
      for (const [i, lane] of lanes.entries()) {
        if ((lastSeqs[i] ?? 0) > lane.knownUpTo) {
          this.read(lane);
          continue;
        }
        // Its window may have ended, or the clock of a gap may not have begun, before its shard was read no further.
        if (needsReadingAhead(lane, clock.monotonic())) this.options.drive(lane);
      }
    } catch (error) {
      log.debug({ error: String(error) }, 'the broker does not tell what is new of the sessions that run');
    }
    this.isInRound = false;
    if (this.behind().length === 0) return;
    const pauseMs = PAUSE_TIMES * (clock.monotonic() - beganAt);
    this.roundAfter(Math.min(MAX_PAUSE_MS, Math.max(ROUND_MS, pauseMs)));
  }

  private behind(): ShardLanes[] {
    return [...this.options.shards.values()].filter(({ isBehind, state }) => isBehind && state === 'open');
  }

  /** Those with a turn that takes its time, here or at a former owner. */
  private slow(): Lane[] {
    return this.behind().flatMap(({ open }) => open.filter((lane) => isKnown(lane) && this.isSlow(lane)));
  }

  /** The clock may have been set back. */
  private isSlow({ handoff, running }: Lane): boolean {
    const { clock, startedAt } = this.options;
    return (
      handoff !== undefined ||
      running.some((run) => Math.abs(clock.now() - (startedAt(run) ?? clock.now())) >= SLOW_TURN_MS)
    );
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
      if (isKnown(next.value) && !this.isSlow(next.value)) lanes.push(next.value);
    }
    return lanes;
  }

  private *allOpen(): Generator<Lane> {
    const stoodStillBefore = this.options.clock.monotonic() - LONG_PAUSE_MS;
    for (const { pausedSince = Number.POSITIVE_INFINITY, maybeOpen } of this.behind())
      if (pausedSince <= stoodStillBefore) yield* maybeOpen;
  }

  private read(lane: Lane): void {
    if (this.reading.has(lane)) return;
    this.toRead.add(lane);
    this.readOn();
  }

  private readOn(): void {
    for (const lane of this.toRead) {
      if (this.reading.size >= READ_AT_ONCE) return;
      this.toRead.delete(lane);
      this.reading.add(lane);
      void this.readAll(lane).finally(() => {
        this.reading.delete(lane);
        this.options.drive(lane);
        this.readOn();
      });
    }
  }

  private async readAll(lane: Lane): Promise<void> {
    const { source, clock, log } = this.options;
    const askedAt = clock.monotonic();
    try {
      if (!isKnown(lane)) return;
      for await (const raw of source.messagesOf(lane.key, lane.knownUpTo + 1)) {
        if (!isKnown(lane)) return;
        this.options.receive(lane, raw);
      }
      lane.wasReadAt(askedAt);
    } catch (error) {
      log.debug({ ...lane.key, error: String(error) }, 'what is new of a session cannot be read yet');
      await this.rest();
    }
  }

  /** A lane that is driven at once asks again at once. */
  private async rest(): Promise<void> {
    await new Promise<void>((resolve) => void this.options.clock.after(RETRY_MS, resolve));
  }
}

/** What an open lane had before the shard's `read` comes first, and by another way. */
function isKnown(lane: Lane): boolean {
  return lane.home.state === 'open' && !lane.isStopped && lane.unreadFrom === undefined;
}
