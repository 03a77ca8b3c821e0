import type { StoredMessage, StreamReader } from './stream-reader.client.js';

/** It comes with every answer, so it must be small. */
const MAX_BYTES = 16 * 1024;

/**
 * A subject that is known to have a message. When none of the requested subjects has one, a replica only says that it found
 * nothing, not how far it has read: it says that at the end of an answer with at least one message. The witness, requested with
 * the others, makes sure of that. So a thousand new sessions cost one request, and not a thousand requests to the leader.
 */
export class FreshnessWitness {
  private known: string | undefined;

  constructor(
    private readonly reader: Pick<StreamReader, 'leaderMessage'>,
    private readonly stream: string,
  ) {}

  /** Takes the witness from an answer that is not stale. */
  see(found: ReadonlyMap<string, StoredMessage>): void {
    if (this.known !== undefined && isSmall(found.get(this.known))) return;
    this.known = undefined;
    for (const [subject, message] of found) {
      if (!isSmall(message)) continue;
      this.known = subject;
      return;
    }
  }

  /** It has no message any more, or the replica that answered is behind. */
  forget(): void {
    this.known = undefined;
  }

  /** These subjects, plus the witness if there is one. */
  with(subjects: readonly string[]): readonly string[] {
    return this.known === undefined || subjects.includes(this.known) ? subjects : [...subjects, this.known];
  }

  /** Whether there is a witness now: the subject of the message with this sequence. Rejects in an outage. */
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
