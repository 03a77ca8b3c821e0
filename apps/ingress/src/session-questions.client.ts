import type { Names, SessionAnswer, SessionTokens } from '#contracts';
import type { BrokerConnection } from '#jetstream';

const ANSWER_WITHIN_MS = 1_000;

/** Asks the owner of a session's shard what it is doing. No owner, no answer: the streams still tell the rest. */
export class SessionQuestions {
  constructor(
    private readonly connection: BrokerConnection,
    private readonly names: Names,
  ) {}

  async ask({ agentToken, sessionToken, shard }: SessionTokens): Promise<SessionAnswer | undefined> {
    try {
      const body = JSON.stringify({ agentToken, sessionToken });
      const options = { timeout: ANSWER_WITHIN_MS };
      const message = await this.connection.nc.request(this.names.shardRpcSubject(shard), body, options);
      return message.json<SessionAnswer>();
    } catch {
      return undefined;
    }
  }
}
