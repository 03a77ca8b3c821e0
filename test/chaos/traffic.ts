import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { Dice } from './dice.js';
import type { Accepted } from './history.js';
import { letters, type Letter } from './letters.js';
import { agentOf } from './sessions.js';

export interface TrafficOptions {
  readonly dice: Dice;
  /** How many in a second, as long as they are accepted; what an outage holds up comes after it. */
  readonly perSecond: number;
  /** Where an ingress listens now. */
  readonly urls: () => readonly string[];
}

/** Letters that are on their way at once at most. */
const MOST_OPEN = 200;
const TICK_MS = 20;
const PATIENCE_MS = 15_000;
const PAUSE_MS = 150;

/** Everybody who sends: many at once, again when it is unclear whether it arrived, and sometimes twice without a reason. */
export class Traffic {
  readonly accepted: Accepted[] = [];
  /** Answers that no sender can do anything about. */
  readonly refused: string[] = [];
  /** Answers that the broker is away or full. */
  unavailable = 0;
  /** Letters that were begun. */
  begun = 0;
  private readonly open = new Set<Promise<void>>();
  private readonly source: Generator<Letter, never>;
  private readonly agent = new Agent({ connections: 128, headersTimeout: PATIENCE_MS, bodyTimeout: PATIENCE_MS });
  private readonly dice: Dice;
  private isGivenUp = false;

  constructor(private readonly options: TrafficOptions) {
    this.dice = options.dice.fork();
    this.source = letters(options.dice.fork());
  }

  get openCount(): number {
    return this.open.size;
  }

  /** Sends for so long. What is on its way then is not waited for. */
  async run(ms: number): Promise<void> {
    const start = performance.now();
    for (let now = 0; now < ms; now = performance.now() - start) {
      const due = Math.floor((now / 1000) * this.options.perSecond);
      while (this.begun < due && this.open.size < MOST_OPEN) this.begin(this.source.next().value);
      await delay(TICK_MS);
    }
  }

  /** Resolves with how many letters are still not accepted then. */
  async end(withinMs: number): Promise<number> {
    const late = new AbortController();
    await Promise.race([Promise.all(this.open), delay(withinMs, undefined, { signal: late.signal }).catch(() => {})]);
    late.abort();
    const left = this.open.size;
    this.isGivenUp = true;
    await this.agent.destroy();
    return left;
  }

  private begin(letter: Letter): void {
    this.begun++;
    const sending = this.send(letter).finally(() => this.open.delete(sending));
    this.open.add(sending);
  }

  private async send(letter: Letter): Promise<void> {
    const { session, id, text, thread, strategy, task, runs } = letter;
    const path = `/v1/agents/${agentOf(session)}/sessions/${encodeURIComponent(session)}`;
    const body = JSON.stringify({
      id,
      text,
      thread,
      strategy,
      task,
      ...(runs === undefined ? {} : { data: { runs } }),
    });
    const post = (): Promise<void> => this.untilAccepted(session, `${path}/messages`, body);
    await (letter.again === 'at once' ? Promise.all([post(), post()]) : post());
    if (letter.again === 'later') {
      await delay(this.dice.between(100, 5_000));
      await post();
    }
    if (letter.cancel === undefined) return;
    await delay(this.dice.between(0, 2_000));
    const target = letter.cancel === 'session' ? '' : `/messages/${encodeURIComponent(id)}`;
    // Named, so that a repetition is one order: an unnamed one would be stored again each time.
    await this.untilAccepted(session, `${path}${target}/cancel`, '', { 'idempotency-key': `cancel ${id}` });
  }

  private async untilAccepted(
    session: string,
    path: string,
    body: string,
    headers: Record<string, string> = {},
  ): Promise<void> {
    while (!this.isGivenUp) {
      const answer = await this.post(path, body, headers).catch(() => undefined);
      if (answer?.status === 202) {
        const { messageId: id, seq, duplicate } = answer.body;
        this.accepted.push({ session, id, seq, duplicate, at: Date.now() });
        return;
      }
      // A cancel that comes too late.
      if (answer?.status === 409) return;
      if (answer?.status === 503) this.unavailable++;
      else if (answer !== undefined) {
        this.refused.push(`${path} was answered ${answer.status}: ${JSON.stringify(answer.body)}`);
        return;
      }
      await delay(PAUSE_MS);
    }
  }

  private async post(path: string, body: string, more: Record<string, string>): Promise<{ status: number; body: any }> {
    const url = this.dice.pick(this.options.urls());
    const headers = { ...more, ...(body === '' ? {} : { 'content-type': 'application/json' }) };
    const response = await request(`${url}${path}`, { method: 'POST', body, headers, dispatcher: this.agent });
    return { status: response.statusCode, body: await response.body.json() };
  }
}
