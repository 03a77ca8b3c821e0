import { setTimeout as delay } from 'node:timers/promises';
import type { Names, SessionAnswer, SessionTokens } from '#contracts';
import { hasNoResponders, type BrokerConnection } from '#jetstream';

const ANSWER_WITHIN_MS = 1_000;
/** While a shard changes its owner no worker answers for some ms; longer than this it has no owner. */
const NO_OWNER_AFTER_MS = 500;
const ASK_AGAIN_MS = 50;

/** Asks the owner of a session's shard about the session. Without an owner there is no answer; the streams tell the rest. */
export class SessionQuestions {
  constructor(
    private readonly connection: BrokerConnection,
    private readonly names: Names,
  ) {}

  async ask({ agentToken, sessionToken, shard }: SessionTokens): Promise<SessionAnswer | undefined> {
    const body = JSON.stringify({ agentToken, sessionToken });
    const giveUpAt = performance.now() + NO_OWNER_AFTER_MS;
    for (;;) {
      try {
        const options = { timeout: ANSWER_WITHIN_MS };
        const message = await this.connection.nc.request(this.names.shardRpcSubject(shard), body, options);
        return message.json<SessionAnswer>();
      } catch (error) {
        // That answer comes at once, so asking again costs little.
        if (!hasNoResponders(error) || performance.now() + ASK_AGAIN_MS > giveUpAt) return undefined;
      }
      await delay(ASK_AGAIN_MS);
    }
  }
}
