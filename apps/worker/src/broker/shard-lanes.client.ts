import type { Names, SessionAnswer, SessionQuestion } from '#contracts';
import { BrokerAwayError, retryWhenUp, type BrokerConnection, type ShardEnd, type StreamReader } from '#jetstream';
import type { LaneRunner } from '#lanes';
import type { ShardProgress, ShardStart, ShardWork } from '#shards';
import type { Logger } from '#telemetry';
import type { InboxLookup } from './inbox-lookup.client.js';
import { answerSessionQuestions } from './session-rpc.consumer.js';
import { ShardFeed } from './shard-feed.consumer.js';

export interface ShardLanesOptions {
  readonly connection: BrokerConnection;
  readonly reader: StreamReader;
  readonly names: Names;
  readonly lanes: LaneRunner;
  readonly lookup: InboxLookup;
  /** Heads that are older than this are stale. */
  readonly knowTurnsUpTo: (seq: number) => void;
  readonly describe: (question: SessionQuestion, shard: number) => Promise<SessionAnswer>;
  readonly log: Logger;
}

interface OpenShard {
  readonly feed: ShardFeed;
  readonly stopAnswering: () => void;
  /** The end of the inbox, as the look before this one saw it. */
  seenEnd: number;
}

/**
 * The work of a worker's shards: their messages into lanes, and answers about their sessions.
 *
 * Before `read` of an idle shard is raised to an end of the inbox, a former look has seen that end, seconds ago, and this one
 * finds nothing of the shard behind what was read. The two are two requests, and may have two leaders: the end from the new
 * one, and "nothing there" from one that was stopped and has not heard yet that it is none. Raised to the end of the same
 * look, `read` would pass what only the new one has, and no owner would ever work on that.
 */
export class ShardLanesWork implements ShardWork {
  private readonly openShards = new Map<number, OpenShard>();
  private readonly closing = new Set<Promise<void>>();
  private readonly lastSeqs = new Map<string, Promise<number>>();

  constructor(private readonly options: ShardLanesOptions) {}

  async open(shard: number, start: ShardStart): Promise<void> {
    const { connection, names, lanes, log, knowTurnsUpTo, describe } = this.options;
    let { tail, crash } = start;
    if (start.isCrash) {
      // What the dead owner wrote last is in no lease, and what it had read neither.
      tail = await this.surely(() => this.lastSeq(names.turnsStream));
      crash = { tail, upTo: await this.surely(() => this.lastSeq(names.inboxStream)) };
    }
    knowTurnsUpTo(tail);
    lanes.openShard(shard, { ...start, tail, crash });
    const feed = new ShardFeed(shard, start, { ...this.options, end: this.endOf(shard), log });
    const stopAnswering = answerSessionQuestions(connection, names, shard, (asked) => describe(asked, shard));
    this.openShards.set(shard, { feed, stopAnswering, seenEnd: 0 });
    feed.open();
  }

  running(shard: number): number {
    return this.options.lanes.runningIn(shard);
  }

  async progress(shard: number): Promise<ShardProgress | undefined> {
    const { names, reader, lanes } = this.options;
    const open = this.openShards.get(shard);
    if (open === undefined) return undefined;
    // What an earlier look found empty is not looked at again.
    const read = Math.max(open.feed.position, lanes.readTo(shard));
    const { seenEnd } = open;
    try {
      const lastSeq = await this.lastSeq(names.inboxStream);
      const isIdle =
        seenEnd > read &&
        (await reader.leaderNext(names.inboxStream, names.inboxShardFilter(shard), read + 1)) === undefined;
      // Lost and taken again meanwhile: what we had read is not what is read now.
      if (this.openShards.get(shard) !== open) return undefined;
      open.seenEnd = lastSeq;
      // A source that was set back ends before what was seen of it.
      if (isIdle) lanes.sawNothingUpTo(shard, Math.min(seenEnd, lastSeq));
    } catch {
      return undefined;
    }
    return toProgress(lanes.progress(shard));
  }

  async release(shard: number, maxHandoffs: number): Promise<ShardProgress> {
    this.close(shard);
    return toProgress(await this.options.lanes.releaseShard(shard, maxHandoffs)) as ShardProgress;
  }

  drop(shard: number): void {
    this.close(shard);
    this.options.lanes.dropShard(shard);
  }

  resume(shard: number): void {
    this.options.lanes.resume(shard);
  }

  recheckHandoffs(): void {
    const { lanes, log } = this.options;
    lanes.work
      .discardOverrun()
      .catch((error: unknown) => log.warn({ error: String(error) }, 'held turns were not seen to'));
  }

  get highestRead(): number {
    return Math.max(0, ...[...this.openShards.values()].map(({ feed }) => feed.position));
  }

  lastSourceSeq(): Promise<number> {
    return this.options.reader.leaderLastSeq(this.options.names.inboxStream);
  }

  /** Ends the reading of what is still open, and resolves when all of it has ended. */
  async closeAll(): Promise<void> {
    for (const shard of [...this.openShards.keys()]) this.close(shard);
    await Promise.all(this.closing);
  }

  private close(shard: number): void {
    const open = this.openShards.get(shard);
    if (open === undefined) return;
    this.openShards.delete(shard);
    open.stopAnswering();
    // Nobody has to wait until the consumer is deleted: the next owner makes its own.
    const closing = open.feed.close();
    this.closing.add(closing);
    void closing.finally(() => this.closing.delete(closing));
  }

  /** With one replica the consumer is where the leader is. */
  private endOf(shard: number): ShardEnd | undefined {
    const { lookup, names, reader } = this.options;
    if (lookup.isExact) return undefined;
    return {
      lastSeq: () => this.lastSeq(names.inboxStream),
      next: async (fromSeq) =>
        (await reader.leaderNext(names.inboxStream, names.inboxShardFilter(shard), fromSeq))?.seq,
    };
  }

  /** All shards ask at the same time: one request answers those that began together. */
  private lastSeq(stream: string): Promise<number> {
    const known = this.lastSeqs.get(stream);
    if (known !== undefined) return known;
    const asking = new Promise((resolve) => setImmediate(resolve)).then(() => {
      // From here on it is on its way: who asks later must not get an older answer.
      this.lastSeqs.delete(stream);
      return this.options.reader.leaderLastSeq(stream);
    });
    this.lastSeqs.set(stream, asking);
    return asking;
  }

  /** Asks through an outage. Rejects only when the connection is closed for good. */
  private async surely(ask: () => Promise<number>): Promise<number> {
    const { connection } = this.options;
    const onFailure = (error: unknown): void => {
      if (connection.nc.isClosed()) throw error;
    };
    const answer = await retryWhenUp(connection, ask, { onFailure });
    if (answer === undefined) throw new BrokerAwayError();
    return answer;
  }
}

/** The lanes' own words are the library's. */
function toProgress(progress: ReturnType<LaneRunner['progress']>): ShardProgress | undefined {
  return progress === undefined ? undefined : { ...progress, open: progress.open.map((open) => ({ ...open })) };
}
