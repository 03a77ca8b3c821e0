import { describeProblem, type Names, type SessionTokens } from '#contracts';
import { brokerUnavailable, ProblemException } from '#http';
import type { BrokerConnection, KeyBucket, KeyEntry } from '#jetstream';
import { PATIENCE_MS, pauseForBroker } from './broker-pause.client.js';

export interface NumberedMessage {
  readonly id: string;
  readonly sequence: number;
}

export interface NumberClaim {
  /** The number was free: no message had it before, not even a former try of this one. */
  readonly isNew: boolean;
  readonly revision: number;
}

/**
 * Which message of a session has which number, kept as long as the broker remembers the message's id. One key per number
 * whose writes are compare-and-sets: of any number of ingress processes one wins it for its message, whether a worker runs
 * or not.
 *
 * A caller goes on only after its own write of the key, also for a repetition: a wrong read from a replica or a deposed
 * leader can at worst refuse a message, and the number is kept as long as the id of the last repetition.
 */
export class MessageNumbers {
  constructor(
    private readonly connection: Pick<BrokerConnection, 'isUp' | 'whenUp'>,
    private readonly bucket: Pick<KeyBucket, 'read' | 'write' | 'remove'>,
    private readonly names: Names,
  ) {}

  /** Throws a 422 when another message has the number, a 503 when the broker does not tell. */
  async claim(key: SessionTokens, message: NumberedMessage): Promise<NumberClaim> {
    const name = this.names.numberKey(key, message.sequence);
    const deadline = performance.now() + PATIENCE_MS;
    let found: KeyEntry | undefined;
    for (;;) {
      // As with a message: without a connection nothing is sent, so there is no answer to wait for.
      if (!this.connection.isUp) throw brokerUnavailable('The broker is away', message.id);
      const write = await this.bucket.write(name, message.id, { expected: found?.revision ?? 0 });
      if (write.kind === 'written') return { isNew: found?.value === undefined, revision: write.revision };
      if (write.kind === 'unclear') await pauseForBroker(this.connection, deadline);
      if (performance.now() >= deadline) throw brokerUnavailable('The broker did not take its number', message.id);
      // Without an answer the key counts as absent: the next write finds out.
      found = await this.bucket.read(name).catch(ignoreOutage);
      if (found?.value !== undefined && found.value !== message.id) throw numberUsed(message.sequence, found.value);
    }
  }

  /** Gives a number back whose message was not stored, unless another caller has claimed it for the same message since. */
  async release(key: SessionTokens, { sequence }: NumberedMessage, { isNew, revision }: NumberClaim): Promise<void> {
    if (isNew) await this.bucket.remove(this.names.numberKey(key, sequence), revision);
  }
}

function ignoreOutage(error: unknown): undefined {
  if ((error as { code?: unknown }).code !== 'broker_away') throw error;
}

function numberUsed(sequence: number, usedBy: string): ProblemException {
  const problem = {
    field: 'sequence',
    found: `${sequence}, which message ${JSON.stringify(usedBy)} of this session has`,
    wanted: 'a number that no other message of the session has',
    remedy: 'if it is the same message, send it under that id; else give it the next number, or leave sequence out',
  };
  return new ProblemException({
    status: 422,
    code: 'sequence-used',
    title: 'This number was used for another message',
    detail: describeProblem(problem),
    errors: [problem],
    extra: { usedBy },
  });
}
