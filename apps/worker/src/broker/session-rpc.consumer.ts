import type { Msg } from '@nats-io/transport-node';
import { z } from 'zod';
import { decodeUtf8, type Names, type SessionAnswer, type SessionQuestion } from '#contracts';
import type { BrokerConnection } from '#jetstream';

const question = z.object({ agentToken: z.string(), sessionToken: z.string() });

/**
 * Answers questions about sessions of one of this worker's shards, over core NATS. Nothing here must survive a crash.
 */
export function answerSessionQuestions(
  connection: BrokerConnection,
  names: Names,
  shard: number,
  answer: (question: SessionQuestion) => Promise<SessionAnswer>,
): () => void {
  const subscription = connection.nc.subscribe(names.shardRpcSubject(shard), {
    callback: (error, message) => {
      if (error !== null) return;
      const asked = readQuestion(decodeUtf8(message.data) ?? '');
      // A malformed request gets no answer. Its sender has a timeout.
      if (asked === undefined) return;
      void respond(message, answer(asked));
    },
  });
  return () => subscription.unsubscribe();
}

async function respond(message: Msg, answer: Promise<SessionAnswer>): Promise<void> {
  message.respond(JSON.stringify(await answer));
}

function readQuestion(text: string): SessionQuestion | undefined {
  try {
    return question.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
