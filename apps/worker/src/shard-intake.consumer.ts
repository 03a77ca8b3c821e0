import type { Names } from '#contracts';
import { ShardReader, type BrokerConnection, type ShardMessage, type StreamReader } from '#jetstream';
import type { LaneRunner } from '#lanes';
import type { Logger } from '#telemetry';

export interface ShardIntakeOptions {
  readonly connection: BrokerConnection;
  readonly reader: StreamReader;
  readonly names: Names;
  readonly lanes: LaneRunner;
  readonly log: Logger;
}

/**
 * Reads shards into the lanes, one ordered consumer each.
 *
 * This worker reads every shard from its first message; what is decided already is recognised by the heads. Which shards
 * a worker owns, and from where it reads, is to come from leases: `open` is the seam.
 */
export class ShardIntake {
  private readonly readers = new Map<number, ShardReader>();

  constructor(private readonly options: ShardIntakeOptions) {}

  async openAll(): Promise<void> {
    const { reader, names } = this.options;
    const lastSeqAtStart = await reader.leaderLastSeq(names.inboxStream);
    for (let shard = 0; shard < names.shards; shard++) this.open(shard, 1, lastSeqAtStart);
  }

  /** Begins to read a shard. What lies at or below `lastSeqAtStart` may have been begun by a former process. */
  open(shard: number, fromSeq: number, lastSeqAtStart: number): void {
    const { connection, names, lanes, log } = this.options;
    const shardReader = new ShardReader(connection, {
      stream: names.inboxStream,
      filter: names.inboxShardFilter(shard),
      fromSeq,
      onMessage: (message: ShardMessage) =>
        lanes.receive(names.parseSessionSubject(message.subject), message, message.seq <= lastSeqAtStart),
      onCaughtUp: () => lanes.caughtUp(shard),
      log,
    });
    this.readers.set(shard, shardReader);
    shardReader.start();
  }

  async closeAll(): Promise<void> {
    const readers = [...this.readers.values()];
    this.readers.clear();
    await Promise.all(readers.map((reader) => reader.stop()));
  }
}
