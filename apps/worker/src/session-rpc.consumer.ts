import { z } from 'zod';
import type { Names, SessionQuestion } from '#contracts';
import type { BrokerConnection } from '#jetstream';
import type { LaneRunner } from '#lanes';

const question = z.object({ agentToken: z.string(), sessionToken: z.string() });

/** Answers what this worker knows of sessions of its shards. Core NATS: nothing here has to last. */
export function answerSessionQuestions(
  connection: BrokerConnection,
  names: Names,
  shards: readonly number[],
  lanes: LaneRunner,
): () => void {
  const subscriptions = shards.map((shard) =>
    connection.nc.subscribe(names.shardRpcSubject(shard), {
      callback: (error, message) => {
        if (error !== null) return;
        const asked = readQuestion(message.string());
        // What is no question of ours gets no answer; its sender has a timeout.
        if (asked === undefined) return;
        message.respond(JSON.stringify(lanes.describe(asked.agentToken, asked.sessionToken)));
      },
    }),
  );
  return () => {
    for (const subscription of subscriptions) subscription.unsubscribe();
  };
}

function readQuestion(text: string): SessionQuestion | undefined {
  try {
    return question.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
