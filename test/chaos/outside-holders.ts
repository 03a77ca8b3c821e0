import { setTimeout as delay } from 'node:timers/promises';
import { askGuard, taskPath } from './ask-guard.js';
import type { Dice } from './dice.js';
import type { OutsideAnswer, OutsideHolding } from './history.js';

const CALLERS = 4;
const KEYS = ['outside::job-0', 'outside::job-1'];
const TTL_MS = [1_000, 3_000] as const;
const RENEWALS = 3;
/** A request that gets no answer is made again so often. */
const TRIES = 4;
const PAUSE_MS = [50, 200] as const;
/** After the end of its time: another program has the task by then. */
const LATE_MS = 1_500;

type Holding = { -readonly [Field in keyof OutsideHolding]: OutsideHolding[Field] };
interface Answer {
  readonly sentAt: number;
  readonly body: any;
}

/**
 * Programs that hold tasks over plain HTTP, as docs/task-guard.md tells them to: a fresh `requestId` for each request and the
 * same for its repetitions, a renewal at a third of the time, and an end of the work by their own clock. Some end without a
 * word, and some of those come back with their old token.
 */
export class OutsideHolders {
  readonly holdings: OutsideHolding[] = [];
  readonly answers: OutsideAnswer[] = [];
  private runs = 0;

  constructor(
    private readonly dice: Dice,
    /** Where a guard listens now. */
    private readonly urls: () => readonly string[],
  ) {}

  async run(ms: number): Promise<void> {
    const end = performance.now() + ms;
    const callers = Array.from({ length: CALLERS }, async () => {
      const dice = this.dice.fork();
      while (performance.now() < end) {
        await this.hold(dice);
        await delay(dice.between(...PAUSE_MS));
      }
    });
    await Promise.all(callers);
  }

  private async hold(dice: Dice): Promise<void> {
    const key = dice.pick(KEYS);
    const ttlMs = dice.between(...TTL_MS);
    const worksMs = dice.between(20, 2 * ttlMs);
    const how = dice.pick([
      'vanishes',
      'vanishes',
      'comes back',
      'fails',
      'ends well',
      'ends well',
      'ends well',
    ] as const);
    const runId = `outside-${++this.runs}`;
    const askedAt = Date.now();
    const answer = await this.ask(dice, key, 'acquire', { requestId: runId, runId, ttlMs });
    // It may have been given to us, and then no program works under it.
    if (answer === undefined) return;
    const { kind, token, runId: other } = answer.body;
    if (kind === 'already_running') this.answers.push({ kind, key, runId: other, askedAt: answer.sentAt });
    if (kind !== 'acquired') return;
    const at = Date.now();
    const holding: Holding = { key, runId, token, from: at, to: askedAt + ttlMs, blocksUntil: at + ttlMs };
    this.holdings.push(holding);
    const isHeld = await this.work(dice, holding, ttlMs, at + worksMs);
    if (how === 'comes back') return this.comeBack(dice, holding, ttlMs);
    if (!isHeld || how === 'vanishes') return;
    const status = how === 'fails' ? 'failed' : 'succeeded';
    await this.telling(holding, 0, () => this.ask(dice, key, 'release', { token, status }));
  }

  /** Until it is done; false when it has lost the task before that. */
  private async work(dice: Dice, holding: Holding, ttlMs: number, doneAt: number): Promise<boolean> {
    for (;;) {
      await delay(Math.max(0, Math.min(doneAt - Date.now(), ttlMs / RENEWALS)));
      const sentAt = Date.now();
      if (sentAt >= holding.to) return false;
      if (sentAt >= doneAt) {
        holding.to = sentAt;
        return true;
      }
      const { token } = holding;
      const answer = await this.telling(holding, ttlMs, () => this.ask(dice, holding.key, 'renew', { token }, 1));
      if (answer?.body.kind === 'renewed') holding.to = sentAt + ttlMs;
      else if (answer !== undefined) {
        holding.to = Math.min(holding.to, Date.now());
        return false;
      }
    }
  }

  private async comeBack(dice: Dice, holding: Holding, ttlMs: number): Promise<void> {
    const { key, runId, token, to } = holding;
    await delay(Math.max(0, to + LATE_MS - Date.now()));
    const answer = await this.telling(holding, ttlMs, () => this.ask(dice, key, 'renew', { token }, 1));
    if (answer?.body.kind === 'renewed') {
      this.answers.push({ kind: 'renewed', key, runId, token, askedAt: answer.sentAt });
    }
  }

  /**
   * How long it blocks others is known only while each of its requests has an answer: a renewal without one may lie in a
   * guard and be done after a later one was answered. After a release no renewal has an effect, so that the end is known
   * again.
   */
  private async telling(
    holding: Holding,
    forMs: number,
    ask: () => Promise<Answer | undefined>,
  ): Promise<Answer | undefined> {
    const { blocksUntil } = holding;
    holding.blocksUntil = undefined;
    const answer = await ask();
    const isDone = answer?.body.kind !== undefined;
    if (isDone && (blocksUntil !== undefined || forMs === 0)) holding.blocksUntil = Date.now() + forMs;
    else if (answer !== undefined) holding.blocksUntil = blocksUntil;
    return answer;
  }

  /** Undefined: what became of it is unknown. */
  private async ask(
    dice: Dice,
    key: string,
    operation: 'acquire' | 'renew' | 'release',
    request: object,
    tries = TRIES,
  ): Promise<Answer | undefined> {
    for (let i = 0; i < tries; i++) {
      const urls = this.urls();
      const sentAt = Date.now();
      const answer =
        urls.length === 0
          ? undefined
          : await askGuard(dice.pick(urls), `${taskPath(key)}/${operation}`, request).catch(() => undefined);
      if (answer !== undefined && answer.status < 500) return { sentAt, body: answer.body };
      await delay(PAUSE_MS[0]);
    }
    return undefined;
  }
}
