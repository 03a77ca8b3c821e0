import type { QueueSettings, SessionTokens } from '#contracts';
import type { RawInboxMessage } from '../backlog/inbox-item.js';
import type { AheadSource } from '../ports.js';
import { setUpProcess, type ProcessOptions } from './lane-process.fixture.js';
import { ManualTurns, MemoryInbox, rawMessage, sessionKey, settled, UNBOUNDED } from './lane-runner.fixture.js';
import type { LaneRunner } from '../runner/lane-runner.js';

/**
 * For specs of how far shards are read: an inbox with more than is read of it, and a reader that asks whether there is room.
 */

interface Stored {
  readonly key: SessionTokens;
  readonly raw: RawInboxMessage;
}

/** As the shard reader takes them from the broker. */
export const BATCH = 96;
const LOOK_AGAIN_MS = 50;

/** All shards of one inbox. */
export class UnreadInbox implements AheadSource {
  isExact = true;
  readonly stored: Stored[] = [];
  /** What it was asked for. */
  readonly asked: string[] = [];

  /** `storedAtMs`: by the broker's clock - default: a ms after each other, before the process began. */
  store(
    session: string,
    body: object = {},
    { shard = 0, storedAtMs }: { shard?: number; storedAtMs?: number } = {},
  ): number {
    const seq = this.stored.length + 1;
    const raw = rawMessage(seq, body);
    this.stored.push({
      key: { ...sessionKey(session), shard },
      raw: { ...raw, storedAtMs: storedAtMs ?? raw.storedAtMs },
    });
    return seq;
  }

  lastSeqs(keys: readonly SessionTokens[]): Promise<number[]> {
    return Promise.resolve(keys.map((key) => this.of(key).at(-1)?.raw.seq ?? 0));
  }

  async *messagesOf(key: SessionTokens, fromSeq: number): AsyncGenerator<RawInboxMessage> {
    this.asked.push(`${key.sessionToken} ${fromSeq}`);
    await settled();
    yield* this.of(key).flatMap(({ raw }) => (raw.seq >= fromSeq ? [raw] : []));
  }

  private of({ sessionToken }: SessionTokens): Stored[] {
    return this.stored.filter(({ key }) => key.sessionToken === sessionToken);
  }
}

/** Reads one shard of it into a runner, a batch at a time. */
export class UnreadReader {
  private next = 0;
  isStopped = false;

  constructor(
    private readonly inbox: UnreadInbox,
    private readonly runner: LaneRunner,
    private readonly shard: number,
    private readonly later: (delayMs: number, fn: () => void) => void,
  ) {
    runner.onRoom(shard, () => this.read());
    this.look();
  }

  get unread(): number {
    return this.inbox.stored.slice(this.next).filter(({ key }) => key.shard === this.shard).length;
  }

  read(): void {
    while (!this.isStopped && this.unread > 0 && this.runner.askForRoom(this.shard)) this.readSome(BATCH);
  }

  readSome(count: number): void {
    for (let left = count; left > 0 && this.next < this.inbox.stored.length;) {
      const { key, raw } = this.inbox.stored[this.next++] as Stored;
      if (key.shard !== this.shard) continue;
      left--;
      this.runner.receive(key, raw);
    }
    if (this.unread === 0) this.runner.caughtUp(this.shard);
  }

  private look(): void {
    if (this.isStopped) return;
    this.read();
    this.later(LOOK_AGAIN_MS, () => this.look());
  }
}

export interface ReadingOptions extends Omit<ProcessOptions, 'ahead' | 'inbox' | 'turns'> {
  readonly queueing?: Partial<QueueSettings>;
  readonly inbox?: UnreadInbox;
  /** Default: 5 min, so that a turn hangs as long as the spec wants. */
  readonly turnTimeoutMs?: number;
}

/** A process of two slots that reads shard 0 by itself. */
export function setUpReading({ queueing, inbox: ahead = new UnreadInbox(), ...options }: ReadingOptions = {}) {
  const turns = new ManualTurns();
  const inbox = new MemoryInbox();
  const process = setUpProcess({ capacity: 2, ...options, turns, ahead, inbox });
  turns.queueing = { ...UNBOUNDED, ...queueing };
  turns.policy = { ...turns.policy, turnTimeoutMs: options.turnTimeoutMs ?? 300_000 };
  const reader = new UnreadReader(ahead, process.runner, 0, (delayMs, fn) => process.clock.after(delayMs, fn));
  /** A message of each of so many sessions that there were not before. */
  const flood = (count: number, body: object = {}): void => {
    for (let i = 0; i < count; i++) ahead.store(`new-${ahead.stored.length}`, body);
  };
  const pass = async (ms: number): Promise<void> => {
    await process.clock.advance(ms);
    await settled();
  };
  /** Ends what runs, again and again, until nothing runs any more. */
  const endAll = async (): Promise<void> => {
    for (let left = 100_000; left > 0 && turns.active.size > 0; left--) {
      for (const turn of turns.active.values()) turn.end();
      await settled();
      reader.read();
      await settled();
    }
  };
  /** How often each message was decided, by its sequence. */
  const decided = (): number[] => {
    const counts = ahead.stored.map(() => 0);
    for (const session of new Set(ahead.stored.map(({ key }) => key.sessionToken)))
      for (const { messages } of process.records.of(session))
        for (const { seq } of messages) counts[seq - 1] = (counts[seq - 1] ?? 0) + 1;
    return counts;
  };
  return { ...process, ahead, reader, flood, pass, endAll, decided };
}
