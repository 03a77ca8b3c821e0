import { setTimeout as delay } from 'node:timers/promises';
import type { TaskView } from '#contracts';
import { askGuard, taskPath } from './ask-guard.js';
import type { Dice } from './dice.js';
import type { Approval } from './history.js';
import { isCareful, OPERATOR } from './tasks.js';

const LOOK_MS = 400;

/**
 * The operator of tasks: approves some of those that wait for it, releases others, and leaves the rest for later. A
 * task that runs is rarely taken away.
 */
export class Operator {
  /** Those that were answered. */
  readonly approvals: Approval[] = [];

  constructor(
    private readonly dice: Dice,
    /** Where a guard listens now. */
    private readonly urls: () => readonly string[],
  ) {}

  async run(ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (performance.now() < end) {
      // A replica that is stopped or cut off answers nothing, or that the broker is away: the next look is at another one.
      await this.look().catch(() => {});
      await delay(LOOK_MS);
    }
  }

  private async look(): Promise<void> {
    const urls = this.urls();
    if (urls.length === 0) return;
    const url = this.dice.pick(urls);
    const { body } = await askGuard(url, '/v1/tasks?limit=200');
    const { tasks = [] } = body as { tasks?: TaskView[] };
    for (const task of tasks) {
      const { key, state } = task;
      if (state === 'running' && this.dice.chance(0.02)) await this.release(url, key);
      const isWaiting = state === 'failed' || (state === 'stale' && isCareful(key));
      if (isWaiting && this.dice.chance(0.4)) await this.decide(url, task);
    }
  }

  private async release(url: string, key: string): Promise<void> {
    await askGuard(url, `${taskPath(key)}/release`, { by: OPERATOR });
  }

  private async decide(url: string, { key, runId }: TaskView): Promise<void> {
    if (this.dice.chance(0.35)) return this.release(url, key);
    const { body } = await askGuard(url, `${taskPath(key)}/approve-retry`, { by: OPERATOR, runId });
    if (body.kind === 'approved') this.approvals.push({ key, runId, at: Date.now() });
  }
}
