import { documentOf, readDocument, writeDocument, type SettingsDocument } from '#config';
import { LanekeeperError, type Names } from '#contracts';
import { KeyBucket, PublishChannel, StreamReader, type BrokerConnection } from '#jetstream';
import type { Logger } from '#telemetry';

/** What stands there now. */
export interface StoredSettings {
  /** Grows with each change; 0 = none yet. */
  readonly version: number;
  /** `undefined` when there are none, or when they were taken away. */
  readonly text: string | undefined;
  /** What the next write has to expect. */
  readonly revision: number;
}

export type SettingsWrite =
  | { readonly kind: 'written'; readonly version: number }
  /** Another process wrote in between. */
  | { readonly kind: 'conflict' };

const KEY = 'current';
const TRIES = 3;
const ANSWER_WITHIN_MS = 2_000;

/** The settings of one installation: one key, whose revision is their version. Every write is a compare-and-set. */
export class SettingsStore {
  private readonly bucket: KeyBucket;
  private readonly channel: PublishChannel;

  constructor(
    connection: BrokerConnection,
    private readonly names: Pick<Names, 'settingsBucket'>,
    log: Logger,
  ) {
    this.channel = new PublishChannel(connection, { timeoutMs: ANSWER_WITHIN_MS });
    this.bucket = new KeyBucket(connection, this.channel, new StreamReader(connection), names.settingsBucket, log);
  }

  /** By the leader. Rejects in an outage. */
  async read(): Promise<StoredSettings> {
    const entry = await this.bucket.read(KEY);
    if (entry === undefined) return { version: 0, text: undefined, revision: 0 };
    return { version: entry.value === undefined ? 0 : entry.revision, text: entry.value, revision: entry.revision };
  }

  /** From any replica, so a moment old at times. Rejects in an outage. */
  async version(): Promise<number> {
    const [entry] = await this.bucket.readMany([KEY]);
    return entry?.revision ?? 0;
  }

  /** `expected`: the revision that was read before. */
  async write(document: SettingsDocument, expected: number): Promise<SettingsWrite> {
    const text = writeDocument(document);
    for (let tries = 1; ; tries++) {
      const outcome = await this.bucket.write(KEY, text, { expected });
      if (outcome.kind === 'written') return { kind: 'written', version: outcome.revision };
      // Also a conflict may be our own write, of a try without an answer.
      const stands = await this.read();
      if (stands.text === text) return { kind: 'written', version: stands.version };
      if (stands.revision !== expected) return { kind: 'conflict' };
      if (tries === TRIES) throw notStored(this.names.settingsBucket);
    }
  }

  /** Hears that a version is being written: a hint, since it may be refused. */
  onWrite(listener: () => void): () => void {
    return this.bucket.onWrite(KEY, listener);
  }

  close(): void {
    this.channel.close();
  }
}

/** A stored document, or an error that says what to do about it. */
export function readStored({ text, version }: StoredSettings): SettingsDocument | undefined {
  return text === undefined ? undefined : documentOf(text, version);
}

/** What is to be replaced. A damaged document is worth nothing more; one of a later version is another's work. */
export function readReplaceable(stored: StoredSettings, isForced = false): SettingsDocument | undefined {
  const kind = stored.text === undefined ? undefined : readDocument(stored.text).kind;
  return kind === 'damaged' || (kind === 'newer' && isForced) ? undefined : readStored(stored);
}

function notStored(bucket: string): LanekeeperError {
  return new LanekeeperError(
    'settings_not_stored',
    `bucket ${bucket}: the broker takes no settings there from this process, wanted its acknowledgement; let this user publish ` +
      `to $KV.${bucket}.>, or put the settings there as one who may, with \`lanekeeper settings push\``,
  );
}
