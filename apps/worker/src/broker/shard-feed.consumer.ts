import { type Names, keyOfLane } from '#contracts';
import { retryWhenUp, ShardReader, type BrokerConnection, type ShardEnd, type ShardMessage } from '#jetstream';
import type { LaneRunner } from '#lanes';
import type { ShardStart } from '#shards';
import type { Logger } from '#telemetry';
import type { InboxLookup } from './inbox-lookup.client.js';

export interface ShardFeedOptions {
  readonly connection: BrokerConnection;
  readonly lookup: InboxLookup;
  readonly names: Names;
  readonly lanes: LaneRunner;
  /**
   * End of the shard according to the inbox's leader. Default: the end that its consumer reports, which is correct with
   * one replica.
   */
  readonly end?: ShardEnd | undefined;
  readonly log: Logger;
}

const FETCHES_AT_ONCE = 8;

/**
 * Reads one shard into the lanes. One ordered consumer reads everything after `read`. Older messages of open sessions
 * are fetched by subject. Messages of a session that is still being fetched wait, so each lane gets its messages in
 * order (L2). Other sessions do not wait.
 */
export class ShardFeed {
  private readonly shardReader: ShardReader;
  /** Sessions whose older messages are being fetched, with the newer messages that wait for them. */
  private readonly fetching = new Map<string, ShardMessage[]>();
  private readonly idAt: number;
  private isClosed = false;

  constructor(
    private readonly shard: number,
    private readonly start: ShardStart,
    private readonly options: ShardFeedOptions,
  ) {
    const { connection, names, lanes, end, log } = options;
    this.idAt = names.inboxShardFilter(shard).length - 1;
    for (const { session } of start.open) this.fetching.set(session, []);
    this.shardReader = new ShardReader(connection, {
      stream: names.inboxStream,
      filter: names.inboxShardFilter(shard),
      fromSeq: start.read + 1,
      onMessage: (message) => this.receive(message),
      hasRoom: () => lanes.askForRoom(shard),
      onCaughtUp: () => this.tellCaughtUp(),
      onBehind: () => lanes.fellBehind(shard),
      end,
      log,
    });
  }

  open(): void {
    this.options.lanes.onRoom(this.shard, () => this.shardReader.resume());
    this.shardReader.start();
    const sessions = this.start.open.values();
    for (let i = 0; i < FETCHES_AT_ONCE; i++) void this.fetchAll(sessions);
  }

  /** Everything of the shard up to this sequence was handed to the lanes. */
  get position(): number {
    return this.shardReader.position;
  }

  /** Stops handing over messages at once. Resolves when the consumer at the broker is removed. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.shardReader.stop();
  }

  private receive(message: ShardMessage): void {
    // The shard's filter ends with `>`. The rest of the subject names the session.
    const id = message.subject.slice(this.idAt);
    const behind = this.fetching.size === 0 ? undefined : this.fetching.get(id);
    if (behind === undefined) this.options.lanes.receiveFor(this.shard, id, message);
    else behind.push(message);
  }

  /** One of several workers that take sessions from the same iterator. */
  private async fetchAll(sessions: Iterator<ShardStart['open'][number]>): Promise<void> {
    for (let next = sessions.next(); next.done !== true && !this.isClosed; next = sessions.next()) {
      await this.fetch(next.value.session, next.value.from);
    }
  }

  private async fetch(session: string, from: number): Promise<void> {
    const { lanes, connection, log } = this.options;
    const key = keyOfLane(session, this.shard);
    let seq = from;
    const attempt = async (): Promise<void> => {
      for await (const stored of this.options.lookup.messagesOf(key, seq)) {
        if (this.isClosed || stored.seq > this.start.read) break;
        lanes.receive(key, stored);
        seq = stored.seq + 1;
      }
    };
    await retryWhenUp(connection, attempt, {
      onFailure: (error) => log.debug({ shard: this.shard, error: String(error) }, 'an open session is fetched again'),
      isStopped: () => this.isClosed,
    });
    if (this.isClosed) return;
    lanes.receivedOpen(key);
    const behind = this.fetching.get(session) ?? [];
    this.fetching.delete(session);
    for (const message of behind) lanes.receive(key, message);
    this.tellCaughtUp();
  }

  private tellCaughtUp(): void {
    if (this.shardReader.isCaughtUp && this.fetching.size === 0) this.options.lanes.caughtUp(this.shard);
  }
}
