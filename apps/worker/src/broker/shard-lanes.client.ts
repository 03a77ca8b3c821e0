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
  /** Marks heads from before this sequence as stale. */
  readonly knowTurnsUpTo: (seq: number) => void;
  readonly describe: (question: SessionQuestion, shard: number) => Promise<SessionAnswer>;
  readonly log: Logger;
}

interface OpenShard {
  readonly feed: ShardFeed;
  readonly stopAnswering: () => void;
  /** Last sequence of the inbox, as the previous call of `progress` saw it. */
  seenEnd: number;
}

/**
 * The lanes' side of shards: feeds their messages into lanes and answers questions about their sessions.
 *
 * `read` of an idle shard may rise to an end of the inbox only if the previous call saw that end, seconds ago, and this
 * call finds no message of the shard after `read`. Both are separate requests, and two leaders may answer them: the new
 * leader tells the end, and the old one, which does not know yet that it was replaced, says that there is nothing. If
 * `read` rose to the end of the same call, it could skip messages that only the new leader has, and no owner would ever
 * handle them.
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
      // The lease does not have the last records of the dead owner, nor how far it had read.
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
    // An earlier call found this part empty.
    const read = Math.max(open.feed.position, lanes.readTo(shard));
    const { seenEnd } = open;
    try {
      const lastSeq = await this.lastSeq(names.inboxStream);
      const isIdle =
        seenEnd > read &&
        (await reader.leaderNext(names.inboxStream, names.inboxShardFilter(shard), read + 1)) === undefined;
      // The shard was lost and taken again meanwhile. The position read above is not that of the new feed.
      if (this.openShards.get(shard) !== open) return undefined;
      open.seenEnd = lastSeq;
      // If the inbox was rewound, its end is before the end seen earlier.
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
      .catch((error: unknown) => log.warn({ error: String(error) }, 'checking turns in handoff failed'));
  }

  get highestRead(): number {
    return Math.max(0, ...[...this.openShards.values()].map(({ feed }) => feed.position));
  }

  lastSourceSeq(): Promise<number> {
    return this.options.reader.leaderLastSeq(this.options.names.inboxStream);
  }

  /** Closes all shards. Resolves when every feed is closed. */
  async closeAll(): Promise<void> {
    for (const shard of [...this.openShards.keys()]) this.close(shard);
    await Promise.all(this.closing);
  }

  private close(shard: number): void {
    const open = this.openShards.get(shard);
    if (open === undefined) return;
    this.openShards.delete(shard);
    open.stopAnswering();
    // Do not wait for the removal of the consumer: the next owner makes its own.
    const closing = open.feed.close();
    this.closing.add(closing);
    void closing.finally(() => this.closing.delete(closing));
  }

  /** With one replica the consumer is at the leader, so its own end is correct. */
  private endOf(shard: number): ShardEnd | undefined {
    const { lookup, names, reader } = this.options;
    if (lookup.isExact) return undefined;
    return {
      lastSeq: () => this.lastSeq(names.inboxStream),
      next: async (fromSeq) =>
        (await reader.leaderNext(names.inboxStream, names.inboxShardFilter(shard), fromSeq))?.seq,
    };
  }

  /** All shards ask at the same time. One request answers the calls of one turn of the event loop. */
  private lastSeq(stream: string): Promise<number> {
    const known = this.lastSeqs.get(stream);
    if (known !== undefined) return known;
    const asking = new Promise((resolve) => setImmediate(resolve)).then(() => {
      // The request is sent now. A later caller must not get its answer, which may be older than the call.
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

/** Copies the lanes' view into the type of `#shards`. */
function toProgress(progress: ReturnType<LaneRunner['progress']>): ShardProgress | undefined {
  return progress === undefined ? undefined : { ...progress, open: progress.open.map((open) => ({ ...open })) };
}
