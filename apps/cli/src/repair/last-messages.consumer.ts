import { DeliverPolicy } from '@nats-io/jetstream';
import { decodeUtf8, LanekeeperError } from '#contracts';
import type { BrokerConnection } from '#jetstream';

const INACTIVE_THRESHOLD_MS = 30_000;

/**
 * Reads the last message of every subject that matches (`undefined`: its bytes are no text), in no order that matters;
 * resolves when it has read them all.
 */
export async function readLastMessages(
  connection: BrokerConnection,
  stream: string,
  filter: string,
  onMessage: (text: string | undefined) => void,
): Promise<void> {
  const consumer = await connection.js.consumers.get(stream, {
    filter_subjects: [filter],
    deliver_policy: DeliverPolicy.LastPerSubject,
    inactive_threshold: INACTIVE_THRESHOLD_MS,
  });
  if ((await consumer.info(true)).num_pending === 0) return;
  const messages = await consumer.consume();
  const forgetDown = connection.onDown(() => messages.stop(lost(stream)));
  try {
    for await (const message of messages) {
      onMessage(decodeUtf8(message.data));
      if (message.info.pending === 0) return;
    }
    throw lost(stream);
  } finally {
    forgetDown();
    messages.stop();
    await consumer.delete().catch(() => false);
  }
}

function lost(stream: string): LanekeeperError {
  return new LanekeeperError('broker_away', `the broker went away while ${stream} was read: run it again`);
}
