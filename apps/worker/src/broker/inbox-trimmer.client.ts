import type { StreamInfo } from '@nats-io/jetstream';
import type { Clock, Names } from '#contracts';
import type { BrokerConnection, StreamReader } from '#jetstream';
import { checkSource, floorOf, type LeaseStore } from '#shards';
import type { Logger } from '#telemetry';

const TRIM_EVERY_MS = 60_000;
/** The broker stores nothing while it purges: about 40 ms for this many sequences, 240 ms for ten times as many. */
const SEQUENCES_PER_STEP = 100_000;

export interface InboxTrimmerOptions {
  readonly connection: BrokerConnection;
  readonly reader: StreamReader;
  readonly leases: Pick<LeaseStore, 'readAll'>;
  readonly names: Names;
  readonly shards: number;
  /** Minimum age of removed messages, decided or not. At least as long as the broker must know their ids. */
  readonly keepMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Default: a minute, or `keepMs` when that is shorter. */
  readonly everyMs?: number;
}

/**
 * Removes messages from the inbox that are below the lowest floor of all shards and older than `keepMs`, including
 * messages that belong to no shard. Every worker does it. If another worker has trimmed already, it costs one request.
 */
export class InboxTrimmer {
  private isStopped = true;
  private cancel = (): void => {};

  constructor(private readonly options: InboxTrimmerOptions) {}

  start(): void {
    if (!this.isStopped) return;
    this.isStopped = false;
    this.schedule();
  }

  stop(): void {
    this.isStopped = true;
    this.cancel();
  }

  /** Resolves with the first sequence that is kept, or `undefined` when there was nothing to remove. */
  async trim(): Promise<number | undefined> {
    const { connection, leases, names, shards, log } = this.options;
    const progress = [...(await leases.readAll()).values()].map(({ lease }) => lease);
    // The owner of a shard without a lease reads it from its first message.
    if (progress.length < shards) return undefined;
    const info = await connection.jsm.streams.info(names.inboxStream);
    const { state } = info;
    // A purge would raise the sequences of a rewound inbox and remove messages that its repair must keep.
    if (checkSource(state.last_seq, progress).isRewound) return undefined;
    const lowestFloor = Math.min(...progress.map(floorOf));
    if (lowestFloor <= state.first_seq) return undefined;
    // Keep the last message. An inbox that is never empty shows its last sequence by itself.
    const keepFrom = Math.min(lowestFloor, state.last_seq, await this.firstYoung(info));
    if (keepFrom <= state.first_seq) return undefined;
    for (let seq = state.first_seq; seq < keepFrom;) {
      seq = Math.min(seq + SEQUENCES_PER_STEP, keepFrom);
      await connection.jsm.streams.purge(names.inboxStream, { seq });
    }
    log.debug({ before: state.first_seq, keepFrom, lastSeq: state.last_seq }, 'inbox trimmed');
    return keepFrom;
  }

  /** Uses the broker's clock, which also stamped the messages. This host's clock may be wrong by more than `keepMs`. */
  private async firstYoung({ state, ts }: StreamInfo): Promise<number> {
    const { reader, names, keepMs, clock } = this.options;
    const youngSinceMs = (ts === undefined ? clock.now() : Date.parse(ts)) - keepMs;
    const young = await reader.firstSince(names.inboxStream, youngSinceMs);
    if (young !== undefined) return young.seq;
    // No younger message exists, or a replica that lags answered.
    return Date.parse(state.last_ts) < youngSinceMs ? state.last_seq : 0;
  }

  private schedule(): void {
    const { clock, connection, log, keepMs, everyMs = Math.min(TRIM_EVERY_MS, keepMs) } = this.options;
    this.cancel = clock.after(everyMs, () => {
      const trimmed = connection.isUp ? this.trim() : Promise.resolve(undefined);
      void trimmed
        .catch((error: unknown) => log.warn({ error: String(error) }, 'trimming the inbox failed; trying again later'))
        .then(() => {
          if (!this.isStopped) this.schedule();
        });
    });
  }
}
