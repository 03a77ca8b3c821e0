import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { OnTurn } from './on-turn.decorator.js';
import type { Turn } from './turn.js';

const options = z.object({
  sleepMs: z.number().min(0).max(3_600_000).optional(),
  fail: z.string().optional(),
});

/**
 * The built-in agent, which needs no API key. It answers with the text of each message. `data: {"sleepMs": n}` waits
 * first and `data: {"fail": "text"}` throws. In a batch the waits add up, as the work of a real agent would.
 */
@Injectable()
export class EchoAgent {
  @OnTurn('echo')
  async answer(turn: Turn): Promise<void> {
    for (const message of turn.messages) {
      const { sleepMs = 0, fail } = options.safeParse(message.data).data ?? {};
      if (sleepMs > 0) await sleep(sleepMs, undefined, { signal: turn.signal });
      if (fail !== undefined) throw new Error(fail);
      turn.reply(message.text === undefined ? { data: message.rawData ?? message.data } : message.text);
    }
  }
}
