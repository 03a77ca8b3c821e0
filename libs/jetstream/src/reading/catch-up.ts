import { doublingWaitMs } from '#contracts';
import type { Logger } from '#telemetry';

/** Answers of the stream's leader. Both reject in an outage. */
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
  /** It had caught up, and from now on may miss messages. */
  readonly onBehind: () => void;
  readonly log: Logger;
}

/** While nothing is delivered, the leader is asked this often, then more and more rarely. */
const LOOK_AGAIN = { firstMs: 250, longestMs: 5_000 };

/**
 * Knows when a reader has delivered everything that was stored when it began to read.
 *
 *   behind --the position is at the end, or the leader has no message of the shard up to the end--> caught up
 *   caught up --opened again, paused, disconnected--> behind
 *
 * A consumer says with each message how many more are pending. But the consumer may be on a replica that is itself behind, and
 * then says "none" while the leader has hundreds: a frozen batch that was cut there would forget its failures. And when
 * that replica has caught up, it may count messages as pending that it has delivered (measured: its very last message does not
 * say "none"). So the leader says where the end is. When the consumer has nothing more, or delivers nothing for a moment, we
 * ask the leader what comes before the end. The end is the one of the opening: an end that moves is never reached.
 *
 * A message that the leader still has is on its way, or is removed before it is delivered: so we ask again, as we do when no
 * leader answers. Until then only what depends on this answer waits.
 */
export class CatchUp {
  private hasCaughtUp = false;
  private end: number | undefined;
  /** No more messages come, as the consumer says or as it seems. */
  private isQuiet = false;
  private position = 0;
  /** There is a consumer: until then no stored message is delivered to us. */
  private isReading = false;
  /** Answers to questions from before the last opening or pause no longer count. */
  private round = 0;
  private isAsking = false;
  private timer: NodeJS.Timeout | undefined;
  private looks = 0;

  constructor(private readonly options: CatchUpOptions) {}

  get isCaughtUp(): boolean {
    return this.hasCaughtUp;
  }

  /** The reader is about to make a consumer that starts after this sequence. */
  open(position: number): void {
    this.lapse();
    this.isReading = false;
    this.isQuiet = false;
    this.position = position;
    if (this.options.end !== undefined) this.look();
  }

  /** From now on messages may be stored that are not read: ask for the end again when no more messages come. */
  lapse(): void {
    const { hasCaughtUp } = this;
    this.stop();
    // The consumer's last report is outdated, and there is no leader to ask: its next report counts.
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

  /** Everything up to here was delivered. `isLast`: the consumer has nothing more. */
  passed(position: number, isLast: boolean): void {
    this.position = position;
    this.isReading = true;
    this.isQuiet = isLast;
    if (this.hasCaughtUp) return;
    if (this.end !== undefined && position >= this.end) return this.reach();
    if (!isLast) return this.lookLater();
    // Perhaps it waited for this message and not for the leader.
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
