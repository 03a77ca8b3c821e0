import type { Logger } from '#telemetry';
import type { BrokerConnection } from './nats-connection.client.js';
import type { LastPerSubject, StoredMessage, StreamReader } from './stream-reader.client.js';

/** The server answers 413 above this many subjects, and a request must stay well below the payload limit. */
const MAX_SUBJECTS = 1_024;
const MAX_REQUEST_BYTES = 512 * 1024;
const MAX_IN_FLIGHT = 4;
const STALE_TRIES = 3;
const RETRY_MS = 100;

export interface BatcherOptions {
  readonly stream: string;
  /**
   * Highest sequence that this process knows to be stored. An answer of a replica that has not read so far is stale and
   * would make a decided message run again (L1), so it is asked for anew, in the end from the leader.
   */
  readonly knownSeq: () => number;
  /** False with one replica: then whoever answers is the leader. */
  readonly isReplicated: boolean;
  readonly log: Logger;
}

interface Waiting {
  readonly subject: string;
  readonly resolve: (message: StoredMessage | undefined) => void;
}

/**
 * Looks up the last message of subjects, many in one request: what is asked for while a request is under way goes
 * together in the next. Waits through an outage of the broker; never answers from a replica that is behind.
 */
export class LastMessageBatcher {
  private queue: Waiting[] = [];
  private inFlight = 0;
  private scheduled = false;

  constructor(
    private readonly connection: BrokerConnection,
    private readonly reader: StreamReader,
    private readonly options: BatcherOptions,
  ) {}

  last(subject: string): Promise<StoredMessage | undefined> {
    return new Promise((resolve) => {
      this.queue.push({ subject, resolve });
      if (this.scheduled) return;
      this.scheduled = true;
      // After the current chunk of the socket was handed over, so that all its sessions share one request.
      setImmediate(() => {
        this.scheduled = false;
        this.flush();
      });
    });
  }

  private flush(): void {
    while (this.queue.length > 0 && this.inFlight < MAX_IN_FLIGHT) {
      const batch = this.takeBatch();
      this.inFlight++;
      void this.answer(batch).finally(() => {
        this.inFlight--;
        this.flush();
      });
    }
  }

  private takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { subject } of this.queue) {
      bytes += subject.length + 3;
      if (count > 0 && (count >= MAX_SUBJECTS || bytes > MAX_REQUEST_BYTES)) break;
      count++;
    }
    return this.queue.splice(0, count);
  }

  private async answer(batch: readonly Waiting[]): Promise<void> {
    const subjects = [...new Set(batch.map(({ subject }) => subject))];
    for (let failures = 0; !this.connection.nc.isClosed(); failures++) {
      await this.connection.whenUp();
      try {
        const found = await this.read(subjects);
        for (const { subject, resolve } of batch) resolve(found.get(subject));
        return;
      } catch (error) {
        if (failures % 10 === 0) this.options.log.warn({ error: String(error) }, 'cannot read heads yet');
        await pause(Math.min(failures + 1, 10) * RETRY_MS);
      }
    }
  }

  private async read(subjects: readonly string[]): Promise<Map<string, StoredMessage>> {
    const { stream, knownSeq, isReplicated } = this.options;
    for (let tries = 0; tries < STALE_TRIES; tries++) {
      const needed = knownSeq();
      const last = await this.reader.lastPerSubject(stream, subjects);
      if (!isReplicated || isFresh(last, needed)) return last.found;
      await pause(RETRY_MS);
    }
    const found = new Map<string, StoredMessage>();
    for (const subject of subjects) {
      const message = await this.reader.leaderLast(stream, subject);
      if (message !== undefined) found.set(subject, message);
    }
    return found;
  }
}

function isFresh(last: LastPerSubject, needed: number): boolean {
  return needed === 0 || (last.upToSeq !== undefined && last.upToSeq >= needed);
}

async function pause(delayMs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, delayMs));
}
