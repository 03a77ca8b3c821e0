import { documentOf, readDocument, writeDocument, type SettingsDocument } from '#config';
import { LanekeeperError, type Names } from '#contracts';
import { KeyBucket, PublishChannel, StreamReader, type BrokerConnection } from '#jetstream';
import type { Logger } from '#telemetry';

/** The stored settings. */
export interface StoredSettings {
  /** Grows with each change; 0 = none yet. */
  readonly version: number;
  /** `undefined` when there are none, or when they were deleted. */
  readonly text: string | undefined;
  /** Revision that the next write must expect. */
  readonly revision: number;
}

export type SettingsWrite =
  | { readonly kind: 'written'; readonly version: number }
  /** Another process wrote at the same time. */
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

  /** Reads from the leader. Rejects while the broker is away. */
  async read(): Promise<StoredSettings> {
    const entry = await this.bucket.read(KEY);
    if (entry === undefined) return { version: 0, text: undefined, revision: 0 };
    return { version: entry.value === undefined ? 0 : entry.revision, text: entry.value, revision: entry.revision };
  }

  /** Reads from any replica, so the answer may be a moment old. Rejects while the broker is away. */
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
      // A conflict may be our own write, from a try without an answer.
      const stands = await this.read();
      if (stands.text === text) return { kind: 'written', version: stands.version };
      if (stands.revision !== expected) return { kind: 'conflict' };
      if (tries === TRIES) throw notStored(this.names.settingsBucket);
    }
  }

  /** Tells the listener that a version is being written. This is only a hint: the broker may refuse the write. */
  onWrite(listener: () => void): () => void {
    return this.bucket.onWrite(KEY, listener);
  }

  close(): void {
    this.channel.close();
  }
}

/** The stored document. Throws an error with the remedy when it cannot be read. */
export function readStored({ text, version }: StoredSettings): SettingsDocument | undefined {
  return text === undefined ? undefined : documentOf(text, version);
}

/** The document to replace. A damaged one may be replaced. One of a later version may only be replaced by force. */
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
