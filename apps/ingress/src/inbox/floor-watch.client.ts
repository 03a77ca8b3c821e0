import type { Names } from '#contracts';
import type { BrokerConnection, StreamLookup, StreamReader } from '#jetstream';
import { checkSource, describeRewound, highestMark, type LeaseStore, type SourceCheck } from '#shards';
import type { Logger } from '#telemetry';
import { recentlyDecided } from './recently-decided.client.js';

/** How often the mark is read while all is well; in between, updates of leases tell it. */
const REFRESH_MS = 10_000;
/** The pause between two looks while no message is taken. */
const LOOK_AGAIN_MS = 2_000;
/** How long a start waits for the first look. */
const FIRST_LOOK_WITHIN_MS = 5_000;
export const REPAIR_INBOX = 'run `lanekeeper repair inbox`';

export interface FloorWatchOptions {
  readonly connection: BrokerConnection;
  readonly reader: Pick<StreamReader, 'leaderLastSeq'>;
  readonly lookup: Pick<StreamLookup, 'messagesOf'>;
  readonly leases: Pick<LeaseStore, 'readAll' | 'onWrite'>;
  readonly names: Names;
  readonly log: Logger;
}

/**
 * - `open`: looked at on this connection, and found sound: messages are taken.
 * - `unchecked`: not looked at since the connection came (back): it may be another broker, or an older state of it.
 * - `rewound`: the inbox was set back: what it stored would never be handled. Looked at again until it is repaired.
 *
 * A lost connection leads to `unchecked` from everywhere, a look from there to one of the others.
 */
export type GateState = 'open' | 'unchecked' | 'rewound';

/**
 * Keeps a rewound inbox from swallowing messages: a message whose sequence is not above all that was decided before counts
 * as decided, and its sender would be told that it is stored. So nothing is published before the inbox was looked at, and
 * an acknowledgement at or below the mark that was known before the publish is none.
 */
export class FloorWatch {
  private current: GateState = 'unchecked';
  private found: SourceCheck | undefined;
  private highest = 0;
  private decided = 0;
  /** The highest mark that was heard since the last look began: that look may have read the leases before it. */
  private heard = 0;
  /** Grows when the result of a look that is on its way is no longer valid. */
  private doubts = 0;
  private isStopped = false;
  private wakeLook = (): void => {};
  private waiting: (() => void)[] = [];
  private readonly stopListening: readonly (() => void)[];

  constructor(private readonly options: FloorWatchOptions) {
    const { connection, leases } = options;
    this.stopListening = [
      connection.onDown(() => this.doubt()),
      connection.onUp(() => this.doubt()),
      leases.onWrite((_shard, lease) => {
        this.heard = Math.max(this.heard, highestMark(lease));
        this.highest = Math.max(this.highest, this.heard);
      }),
    ];
  }

  /** Begins to watch; resolves after the first look, or after `FIRST_LOOK_WITHIN_MS` without an answer of the broker. */
  async start(): Promise<void> {
    void this.follow();
    await this.admit(performance.now() + FIRST_LOOK_WITHIN_MS);
  }

  stop(): void {
    this.isStopped = true;
    for (const stop of this.stopListening) stop();
    this.wakeLook();
    this.wakeWaiting();
  }

  get state(): GateState {
    return this.current;
  }

  /** The inbox had this sequence before now. Take it before a publish: afterwards it may be that of the message itself. */
  get mark(): number {
    return this.highest;
  }

  /** Why no message is taken, for people. */
  get problem(): string | undefined {
    const { current, found } = this;
    if (current === 'rewound' && found !== undefined) {
      return `${describeRewound(this.options.names.inboxStream, found)}; ${REPAIR_INBOX}`;
    }
    return current === 'open' ? undefined : 'the inbox was not looked at since the connection to the broker came up';
  }

  /** Waits for a look that is on its way, but not for a connection; answers the state then. */
  async admit(deadline: number): Promise<GateState> {
    const { connection } = this.options;
    while (this.current === 'unchecked' && connection.isUp && !this.isStopped && performance.now() < deadline) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadline - performance.now());
        this.waiting.push(() => (clearTimeout(timer), resolve()));
      });
    }
    return this.current;
  }

  /** The last look may be out of date: no message is taken until the next one, which begins now. */
  doubt(): void {
    this.current = 'unchecked';
    this.doubts++;
    this.wakeLook();
    this.wakeWaiting();
  }

  private async follow(): Promise<void> {
    const { connection } = this.options;
    while (!this.isStopped && !connection.nc.isClosed()) {
      const { doubts } = this;
      const check = await this.look().catch(() => undefined);
      if (doubts !== this.doubts) continue;
      if (check !== undefined) this.settle(check);
      await this.pause(this.current === 'open' ? REFRESH_MS : LOOK_AGAIN_MS);
    }
  }

  private async look(): Promise<SourceCheck> {
    const { connection, reader, lookup, leases, names } = this.options;
    await connection.whenUp();
    this.heard = 0;
    const stored = await leases.readAll();
    // Only after something has happened: it reads whole records.
    if (this.current !== 'open') this.decided = await recentlyDecided(reader, lookup, names);
    const lastSeq = await reader.leaderLastSeq(names.inboxStream);
    const progress = [...stored.values()].map(({ lease }) => lease);
    return checkSource(lastSeq, progress, this.decided);
  }

  private settle(check: SourceCheck): void {
    const { log, names } = this.options;
    const before = this.found;
    this.found = check;
    this.highest = Math.max(check.mark, this.heard);
    this.current = check.isRewound ? 'rewound' : 'open';
    const { lastSeq, mark } = check;
    if (check.isRewound && before?.isRewound !== true) {
      log.error(
        { lastSeq, mark },
        `no message is taken: ${describeRewound(names.inboxStream, check)}; ${REPAIR_INBOX}`,
      );
    }
    if (!check.isRewound && before?.isRewound === true) log.info({ lastSeq, mark }, 'the inbox is sound again');
    this.wakeWaiting();
  }

  private async pause(delayMs: number): Promise<void> {
    if (this.isStopped) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.wakeLook = () => (clearTimeout(timer), resolve());
    });
    this.wakeLook = () => {};
  }

  private wakeWaiting(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const wake of waiting) wake();
  }
}
