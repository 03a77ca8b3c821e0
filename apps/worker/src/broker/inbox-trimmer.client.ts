import type { StreamInfo } from '@nats-io/jetstream';
import type { Clock, Names } from '#contracts';
import type { BrokerConnection, StreamReader } from '#jetstream';
import { checkSource, floorOf, type LeaseStore } from '#shards';
import type { Logger } from '#telemetry';

const TRIM_EVERY_MS = 60_000;
/** The broker stores nothing while it removes: some 40 ms for so many, and 240 ms for ten times as many at once. */
const SEQUENCES_PER_STEP = 100_000;

export interface InboxTrimmerOptions {
  readonly connection: BrokerConnection;
  readonly reader: StreamReader;
  readonly leases: Pick<LeaseStore, 'readAll'>;
  readonly names: Names;
  readonly shards: number;
  /** How long messages are kept whether they are decided or not; at least as long as the broker has to know their ids. */
  readonly keepMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Default: a minute, or `keepMs` when that is shorter. */
  readonly everyMs?: number;
}

/**
 * Removes from the inbox what nobody needs any more: below the lowest floor of all shards, and older than `keepMs`. That
 * takes with it what lies outside of every shard. Each worker does it; what another one has done already costs one look.
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

  /** Resolves with the first sequence that is kept, or `undefined` when nothing was to be removed. */
  async trim(): Promise<number | undefined> {
    const { connection, leases, names, shards, log } = this.options;
    const progress = [...(await leases.readAll()).values()].map(({ lease }) => lease);
    // A shard without a lease is read from its first message on.
    if (progress.length < shards) return undefined;
    const info = await connection.jsm.streams.info(names.inboxStream);
    const { state } = info;
    // The purge would set a rewound inbox forward, and take with it what its repair is to keep.
    if (checkSource(state.last_seq, progress).isRewound) return undefined;
    const lowestFloor = Math.min(...progress.map(floorOf));
    if (lowestFloor <= state.first_seq) return undefined;
    // The last message stays: an inbox that is never empty tells by itself where it has come to.
    const keepFrom = Math.min(lowestFloor, state.last_seq, await this.firstYoung(info));
    if (keepFrom <= state.first_seq) return undefined;
    for (let seq = state.first_seq; seq < keepFrom;) {
      seq = Math.min(seq + SEQUENCES_PER_STEP, keepFrom);
      await connection.jsm.streams.purge(names.inboxStream, { seq });
    }
    log.debug({ before: state.first_seq, keepFrom, lastSeq: state.last_seq }, 'the inbox is trimmed');
    return keepFrom;
  }

  /** By the broker's clock, which also wrote the messages' times: ours may be wrong by more than `keepMs`. */
  private async firstYoung({ state, ts }: StreamInfo): Promise<number> {
    const { reader, names, keepMs, clock } = this.options;
    const youngSinceMs = (ts === undefined ? clock.now() : Date.parse(ts)) - keepMs;
    const young = await reader.firstSince(names.inboxStream, youngSinceMs);
    if (young !== undefined) return young.seq;
    // There is none, or a replica answered that has not read so far.
    return Date.parse(state.last_ts) < youngSinceMs ? state.last_seq : 0;
  }

  private schedule(): void {
    const { clock, connection, log, keepMs, everyMs = Math.min(TRIM_EVERY_MS, keepMs) } = this.options;
    this.cancel = clock.after(everyMs, () => {
      const trimmed = connection.isUp ? this.trim() : Promise.resolve(undefined);
      void trimmed
        .catch((error: unknown) => log.warn({ error: String(error) }, 'the inbox cannot be trimmed yet'))
        .then(() => {
          if (!this.isStopped) this.schedule();
        });
    });
  }
}
