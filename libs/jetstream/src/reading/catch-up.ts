import { doublingWaitMs } from '#contracts';
import type { Logger } from '#telemetry';

/** What the leader of the stream tells. Both reject in an outage. */
export interface ShardEnd {
  /** The last sequence of the whole stream. */
  lastSeq(): Promise<number>;
  /** The sequence of the first message of the shard at or after this one; undefined = there is none. */
  next(fromSeq: number): Promise<number | undefined>;
}

export interface CatchUpOptions {
  /** Absent: with one replica the consumer knows the end. */
  readonly end: ShardEnd | undefined;
  readonly onCaughtUp: () => void;
  /** It had caught up, and from now on may miss something. */
  readonly onBehind: () => void;
  readonly log: Logger;
}

/** While nothing comes, the leader is asked so often, then ever more seldom. */
const LOOK_AGAIN = { firstMs: 250, longestMs: 5_000 };

/**
 * Knows when a reader has handed over everything that was stored when it began to read.
 *
 *   behind --the position is at the end, or the leader has nothing of the shard up to it--> caught up
 *   caught up --opened again, paused, disconnected--> behind
 *
 * A consumer says with each message how many lie behind it. But it may be on a replica that is behind itself, and then says
 * "none" while the leader has hundreds: a frozen batch that was cut by that word would forget its failures. And when that
 * replica has caught up it may count some that it has delivered (measured: its last message of all does not say "none"). So the
 * end comes from the leader. That the consumer has nothing more, or brings nothing for a moment, is only the sign to ask what
 * lies before it. The end is that of the opening: one that runs away is never reached.
 *
 * What the leader still has is on its way, or is removed before it comes: so it is asked again, as when no leader answers.
 * Until then nothing waits but what rests on this word.
 */
export class CatchUp {
  private hasCaughtUp = false;
  private end: number | undefined;
  /** Nothing more comes, as the consumer says or as it seems. */
  private isQuiet = false;
  private position = 0;
  /** There is a consumer: until then what is stored is on no way to us. */
  private isReading = false;
  /** Answers to what was asked before the last opening or pause say nothing any more. */
  private round = 0;
  private isAsking = false;
  private timer: NodeJS.Timeout | undefined;
  private looks = 0;

  constructor(private readonly options: CatchUpOptions) {}

  get isCaughtUp(): boolean {
    return this.hasCaughtUp;
  }

  /** A consumer is about to be made that reads behind this sequence. */
  open(position: number): void {
    this.lapse();
    this.isReading = false;
    this.isQuiet = false;
    this.position = position;
    if (this.options.end !== undefined) this.look();
  }

  /** From now on something may be stored that is not read: the end is asked for anew, when nothing more comes. */
  lapse(): void {
    const { hasCaughtUp } = this;
    this.stop();
    // What it said is of before, and there is no leader to be asked: its next word counts.
    if (this.options.end === undefined) this.isQuiet = false;
    if (hasCaughtUp) this.options.onBehind();
  }

  stop(): void {
    this.round++;
    this.hasCaughtUp = false;
    this.isAsking = false;
    this.end = undefined;
    this.waitNoMore();
  }

  /** Everything up to here was handed over. `isLast`: the consumer has nothing more. */
  passed(position: number, isLast: boolean): void {
    this.position = position;
    this.isReading = true;
    this.isQuiet = isLast;
    if (this.hasCaughtUp) return;
    if (this.end !== undefined && position >= this.end) return this.reach();
    if (!isLast) return this.lookLater();
    // It waited for this message, perhaps, and not for the leader.
    if (this.end !== undefined) this.waitNoMore();
    this.look();
  }

  /** There is room again. */
  resume(): void {
    if (this.hasCaughtUp) return;
    if (this.isQuiet) this.look();
    else this.lookLater();
  }

  private reach(): void {
    this.stop();
    this.hasCaughtUp = true;
    this.options.onCaughtUp();
  }

  private look(): void {
    if (this.isAsking || this.timer !== undefined) return;
    const { end } = this.options;
    if (end === undefined) return this.reach();
    this.isAsking = true;
    void this.ask(end, this.round);
  }

  private async ask(leader: ShardEnd, round: number): Promise<void> {
    try {
      const end = this.end ?? (await leader.lastSeq());
      if (round !== this.round) return;
      this.end = end;
      if (this.isReading && this.position >= end) return this.reach();
      if (this.isQuiet) {
        const next = await leader.next(this.position + 1);
        if (round !== this.round) return;
        if (next === undefined || next > end) return this.reach();
      }
    } catch (error) {
      if (round !== this.round) return;
      if (this.looks === 0) this.options.log.warn({ error: String(error) }, 'cannot tell yet where a shard ends');
    }
    this.isAsking = false;
    this.lookLater();
  }

  private lookLater(): void {
    if (this.options.end === undefined || this.isAsking || this.timer !== undefined) return;
    const { position } = this;
    const delayMs = doublingWaitMs(LOOK_AGAIN, this.looks++);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (position === this.position) this.isQuiet = this.isReading;
      else this.looks = 0;
      if (this.isQuiet || this.end === undefined) this.look();
      else this.lookLater();
    }, delayMs);
  }

  private waitNoMore(): void {
    this.looks = 0;
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
