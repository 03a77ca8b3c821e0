import { z } from 'zod';
import {
  decodeUtf8,
  systemClock,
  type CancelTarget,
  type Names,
  type SessionAnswer,
  type SessionTokens,
} from '#contracts';
import type { BrokerConnection } from '#jetstream';
import type { FormerOwners } from '#lanes';
import { FormerOwnerVerdicts } from './former-owner-verdicts.js';

/**
 * Requests between workers, addressed by incarnation, over core NATS. Anything that must last is in the inbox. A lost
 * request is sent again.
 */
const request = z.discriminatedUnion('ask', [
  /** Is this incarnation alive? */
  z.object({ ask: z.literal('alive') }),
  /** Which turns of this session, in handoff from you, still run? */
  z.object({ ask: z.literal('running'), agentToken: z.string(), sessionToken: z.string() }),
  z.object({
    ask: z.literal('cancel'),
    agentToken: z.string(),
    sessionToken: z.string(),
    target: z.custom<CancelTarget>((value) => typeof value === 'object' && value !== null && 'what' in value),
  }),
]);
type ControlRequest = z.infer<typeof request>;

const ANSWER_WITHIN_MS = 500;

/** Turns of a session that run at a process that no longer owns its shard. */
export type RunsInHandoff = Pick<SessionAnswer, 'running' | 'concurrent'>;

export interface TurnsInHandoff {
  running(key: Pick<SessionTokens, 'agentToken' | 'sessionToken'>): RunsInHandoff | undefined;
  cancel(key: Pick<SessionTokens, 'agentToken' | 'sessionToken'>, target: CancelTarget): void;
}

/** Answers requests that other workers send to this incarnation. */
export function answerControl(
  connection: BrokerConnection,
  names: Names,
  incarnation: string,
  held: TurnsInHandoff,
): () => void {
  const subscription = connection.nc.subscribe(names.controlSubject(incarnation), {
    callback: (error, message) => {
      if (error !== null) return;
      const asked = readRequest(decodeUtf8(message.data) ?? '');
      if (asked === undefined) return;
      if (asked.ask === 'cancel') held.cancel(asked, asked.target);
      else message.respond(JSON.stringify(asked.ask === 'alive' ? true : (held.running(asked) ?? null)));
    },
  });
  return () => subscription.unsubscribe();
}

/** Sends such requests to former owners. */
export class FormerOwnersClient implements FormerOwners {
  private readonly verdicts: FormerOwnerVerdicts;

  constructor(
    private readonly connection: BrokerConnection,
    private readonly names: Names,
    isGone: FormerOwners['isGone'],
  ) {
    this.verdicts = new FormerOwnerVerdicts(isGone, systemClock);
  }

  isGone(holder: string): Promise<boolean> {
    return this.verdicts.isGone(holder);
  }

  passCancel(holder: string, { agentToken, sessionToken }: SessionTokens, target: CancelTarget): void {
    if (!this.connection.isUp) return;
    const asked: ControlRequest = { ask: 'cancel', agentToken, sessionToken, target };
    this.connection.nc.publish(this.names.controlSubject(holder), JSON.stringify(asked));
  }

  /** What the former owner still runs of the session. `undefined` when it does not answer in time. */
  async running(
    holder: string,
    { agentToken, sessionToken }: Pick<SessionTokens, 'agentToken' | 'sessionToken'>,
  ): Promise<RunsInHandoff | undefined> {
    const answer = await this.ask(holder, { ask: 'running', agentToken, sessionToken });
    return (answer ?? undefined) as RunsInHandoff | undefined;
  }

  async isAlive(incarnation: string): Promise<boolean> {
    return (await this.ask(incarnation, { ask: 'alive' })) === true;
  }

  private async ask(incarnation: string, asked: ControlRequest): Promise<unknown> {
    try {
      const subject = this.names.controlSubject(incarnation);
      const options = { timeout: ANSWER_WITHIN_MS };
      return (await this.connection.nc.request(subject, JSON.stringify(asked), options)).json();
    } catch {
      return undefined;
    }
  }
}

function readRequest(text: string): ControlRequest | undefined {
  try {
    return request.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
