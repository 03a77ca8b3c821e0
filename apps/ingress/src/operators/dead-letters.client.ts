import {
  decodeUtf8,
  encodeToken,
  makeDeadId,
  parseDeadId,
  parseDeadLetter,
  sessionNames,
  shardOf,
  type DeadLetter,
  type Names,
  type SessionTokens,
  isDecided,
} from '#contracts';
import type { BrokerConnection, StoredMessage, StreamLookup } from '#jetstream';
import type { InboxPublisher, Stored } from '../inbox/inbox.publisher.js';
import type { SessionHistory } from '../sessions/session-history.client.js';

export interface DeadEntry {
  readonly key: SessionTokens;
  readonly deadId: string;
  readonly agent: string;
  readonly session: string;
  readonly letter: DeadLetter;
}

export interface DeadQuery {
  readonly agent?: string | undefined;
  readonly session?: string | undefined;
  readonly limit: number;
  /** Cursor of the page before; 0 = from the oldest. */
  readonly after: number;
}

/**
 * Dead messages, for operators. LK_DEAD is a view that is written before the record it belongs to, so each entry is checked
 * against the session's decision: an entry that is not decided `dead` is not shown.
 */
export class DeadLetters {
  constructor(
    private readonly connection: BrokerConnection,
    private readonly lookup: StreamLookup,
    private readonly publisher: Pick<InboxPublisher, 'publish'>,
    private readonly history: SessionHistory,
    private readonly names: Names,
  ) {}

  /** Oldest first. `next` is the cursor of the next page, when there may be one. */
  async list({ agent, session, limit, after }: DeadQuery): Promise<{ dead: DeadEntry[]; next?: number }> {
    const token = (text: string | undefined): string => (text === undefined ? '*' : encodeToken(text));
    const subject = `${this.names.namespace}.dead.*.${token(agent)}.${token(session)}.*`;
    const dead: DeadEntry[] = [];
    for await (const stored of this.lookup.messagesOf(this.names.deadStream, subject, after + 1)) {
      const entry = this.read(stored);
      if (entry !== undefined && (await this.isDead(entry))) dead.push(entry);
      if (dead.length === limit) return { dead, next: stored.seq };
    }
    return { dead };
  }

  async find(deadId: string): Promise<DeadEntry | undefined> {
    const parsed = parseDeadId(deadId);
    if (parsed === undefined) return undefined;
    const { agentToken, sessionToken, seq } = parsed;
    const key = { agentToken, sessionToken, shard: shardOf(agentToken, sessionToken, this.names.shards) };
    const stored = await this.lookup.last(this.names.deadStream, this.names.deadSubject(key, seq));
    const entry = stored === undefined ? undefined : this.read(stored);
    return entry !== undefined && (await this.isDead(entry)) ? entry : undefined;
  }

  /** Sends it again as a new message of the same id, under a new run; safe to repeat. */
  async retry(entry: DeadEntry): Promise<Stored & { readonly messageId: string }> {
    const { key, letter } = entry;
    const { seq, duplicate } = await this.publisher.publish(key, letter.message, undefined, letter.seq);
    await this.drop(entry);
    return { messageId: letter.messageId, seq, duplicate };
  }

  /** Forgets the entry; the decision `dead` in the session's record stays. */
  async drop({ key, letter }: DeadEntry): Promise<void> {
    const filter = this.names.deadSubject(key, letter.seq);
    await this.connection.jsm.streams.purge(this.names.deadStream, { filter });
  }

  private read(stored: StoredMessage): DeadEntry | undefined {
    const letter = parseDeadLetter(decodeUtf8(stored.data) ?? '');
    if (letter === undefined) return undefined;
    const key = this.names.parseSessionSubject(stored.subject);
    return { key, letter, deadId: makeDeadId(key, letter.seq), ...sessionNames(key) };
  }

  private async isDead({ key, letter: { seq } }: DeadEntry): Promise<boolean> {
    // Read before the decision is looked up: a record that comes in between says itself what it decides.
    const last = await this.history.lastRecord(key);
    const decided = await this.history.decisionOf(key, { seq });
    const message = decided?.record.messages.find((candidate) => candidate.seq === seq);
    if (message !== undefined) return message.decision === 'dead';
    // The record is trimmed: only the entry is left.
    return last !== undefined && isDecided(last.record, seq);
  }
}
