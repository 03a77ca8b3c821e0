import type { StoredMessage, StreamReader } from './stream-reader.client.js';

/** It comes with every answer. */
const MAX_BYTES = 16 * 1024;

/**
 * A subject that is known to have a message. Of subjects of which none has one, a replica says only that it found nothing, and
 * not how far it has read: that comes at the end of an answer that has something. Asked for beside them, the witness makes it
 * one. So a thousand new sessions cost one request, and not a thousand to the leader.
 */
export class FreshnessWitness {
  private known: string | undefined;

  constructor(
    private readonly reader: Pick<StreamReader, 'leaderMessage'>,
    private readonly stream: string,
  ) {}

  /** Of an answer that is not stale. */
  see(found: ReadonlyMap<string, StoredMessage>): void {
    if (this.known !== undefined && isSmall(found.get(this.known))) return;
    this.known = undefined;
    for (const [subject, message] of found) {
      if (!isSmall(message)) continue;
      this.known = subject;
      return;
    }
  }

  /** It has no message any more, or the replica that was asked is behind. */
  forget(): void {
    this.known = undefined;
  }

  /** These subjects, and the witness if there is one. */
  with(subjects: readonly string[]): readonly string[] {
    return this.known === undefined || subjects.includes(this.known) ? subjects : [...subjects, this.known];
  }

  /** Whether there is one now: that of the message with this sequence. Rejects in an outage. */
  async find(seq: number): Promise<boolean> {
    const message = await this.reader.leaderMessage(this.stream, seq);
    if (message === undefined || !isSmall(message)) return false;
    this.known = message.subject;
    return true;
  }
}

function isSmall(message: StoredMessage | undefined): boolean {
  return message !== undefined && message.data.length <= MAX_BYTES;
}
