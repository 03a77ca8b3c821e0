import { dedupId, type Clock, type Names, type SessionTokens } from '#contracts';
import { brokerUnavailable, ProblemException } from '#http';
import type { BrokerConnection, KeyBucket } from '#jetstream';
import type { Logger } from '#telemetry';
import { PATIENCE_MS, pauseForBroker } from './broker-pause.client.js';

export interface ReusedIdsOptions {
  readonly connection: Pick<BrokerConnection, 'isUp' | 'whenUp' | 'onUp'>;
  readonly bucket: Pick<KeyBucket, 'read' | 'all' | 'onWrite' | 'write'>;
  readonly names: Names;
  readonly windowMs: number;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly log: Logger;
  /** How many are kept at most - default: 100,000, which is some 30 MB. */
  readonly maxIds?: number;
}

interface Known {
  readonly formerSeq: number;
  /** By a clock that is never set - ms. */
  readonly heardAt: number;
}

const MAX_IDS = 100_000;
const RETRY_AFTER_S = 30;

/**
 * Which ids were stored again behind a former message of theirs that ended dead or without a turn (`isIdFree`), for as long
 * as the broker remembers that.
 *
 * The broker knows each of the two under another id, and forgets the first one sooner. A repetition after that would be
 * stored a third time, though the second was acknowledged within the window. So the ingress process that stores behind a
 * former message writes that down before it acknowledges, and every other one hears of it and begins behind the same former
 * message.
 *
 * They are kept in memory, so that a message with a new id costs no request. Where senders repeat so many that this is full,
 * they are told to come again later; to forget one would run it twice.
 */
export class ReusedIds {
  /** In the order in which this process heard of them. */
  private readonly known = new Map<string, Known>();
  private readonly stops: (() => void)[] = [];

  constructor(private readonly options: ReusedIdsOptions) {}

  /** Watches what other ingress processes write from now on, and reads what they wrote before. Never rejects. */
  async start(): Promise<void> {
    const { connection, bucket, names } = this.options;
    const every = names.reusedIdKey('*');
    this.stops.push(bucket.onWrite(every, (name, value) => this.hear(name, value)));
    // This process heard nothing of what was written during the outage.
    this.stops.push(connection.onUp(() => void this.readAll()));
    await this.readAll();
  }

  stop(): void {
    for (const stop of this.stops.splice(0)) stop();
  }

  /** Sequence of the former message behind which this id was stored last; 0 = none is known. */
  formerSeqOf(key: SessionTokens, messageId: string): number {
    if (this.known.size === 0) return 0;
    const { clock, windowMs } = this.options;
    const found = this.known.get(this.nameOf(key, messageId));
    return found === undefined || clock.monotonic() - found.heardAt > windowMs ? 0 : found.formerSeq;
  }

  /** Call it before a message is stored behind a former one. Throws a 503 when the memory for ids is full. */
  expectRoom(key: SessionTokens, messageId: string): void {
    const { maxIds = MAX_IDS, windowMs } = this.options;
    if (this.known.size < maxIds || this.known.has(this.nameOf(key, messageId))) return;
    this.forgetOld();
    if (this.known.size < maxIds) return;
    throw tooManyRepeated(maxIds, windowMs, messageId);
  }

  /** Call it before a message that stands behind a former one is acknowledged. Throws a 503 when the write fails. */
  async remember(key: SessionTokens, messageId: string, formerSeq: number): Promise<void> {
    const { connection, bucket } = this.options;
    const name = this.nameOf(key, messageId);
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = await bucket.read(name).catch(() => undefined);
      const stands = Number(found?.value ?? 0);
      const write = await bucket.write(name, String(Math.max(stands, formerSeq)), { expected: found?.revision ?? 0 });
      if (write.kind === 'written') return this.hear(name, String(formerSeq));
      if (!connection.isUp || performance.now() >= deadline)
        throw brokerUnavailable('The broker did not take which message it repeats', messageId);
      if (write.kind === 'unclear') await pauseForBroker(connection, deadline);
    }
  }

  private async readAll(): Promise<void> {
    const { bucket, names, log } = this.options;
    try {
      for await (const { key, value = '' } of bucket.all(names.reusedIdKey('*'))) {
        // Known for longer than by the other processes, it would make another message of a repetition that they have stored.
        if (Number(value) !== this.known.get(key)?.formerSeq) this.hear(key, value);
      }
    } catch (error) {
      log.debug(
        { error: String(error) },
        'the ids behind dead messages cannot be read: what is written from now on is heard',
      );
    }
  }

  private hear(name: string, value: string): void {
    const formerSeq = Number(value);
    if (!Number.isSafeInteger(formerSeq) || formerSeq <= 0) return;
    const before = this.known.get(name)?.formerSeq ?? 0;
    this.known.delete(name);
    this.known.set(name, { formerSeq: Math.max(before, formerSeq), heardAt: this.options.clock.monotonic() });
    this.forgetOld();
  }

  private forgetOld(): void {
    const before = this.options.clock.monotonic() - this.options.windowMs;
    for (const [name, { heardAt }] of this.known) {
      if (heardAt >= before) return;
      this.known.delete(name);
    }
  }

  private nameOf(key: SessionTokens, messageId: string): string {
    return this.options.names.reusedIdKey(dedupId(key, messageId));
  }
}

function tooManyRepeated(maxIds: number, windowMs: number, messageId: string): ProblemException {
  return new ProblemException({
    status: 503,
    code: 'too-many-repetitions',
    title: 'Too many ids were sent again',
    detail:
      `id: found ${maxIds} others that were sent again within ${windowMs} ms after they ended without a turn, wanted fewer; ` +
      'send it again later, or under a new id',
    retryAfterS: RETRY_AFTER_S,
    extra: { messageId },
  });
}
