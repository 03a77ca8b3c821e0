import { setTimeout as delay } from 'node:timers/promises';
import type { TaskView } from '#contracts';
import type { Dice } from './dice.js';
import type { Approval } from './history.js';
import { isCareful, OPERATOR } from './tasks.js';

const LOOK_MS = 400;
const PATIENCE_MS = 2_000;

/** Whoever looks after tasks that wait for somebody: approves some of them, releases others, and leaves the rest for later. */
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
    for (const state of ['failed', 'stale']) {
      const { tasks = [] } = (await ask(`${url}/v1/tasks?state=${state}&limit=200`)) as { tasks?: TaskView[] };
      for (const task of tasks) {
        if ((state === 'failed' || isCareful(task.key)) && this.dice.chance(0.4)) await this.decide(url, task);
      }
    }
  }

  private async decide(url: string, { key, runId }: TaskView): Promise<void> {
    const path = `${url}/v1/tasks/${encodeURIComponent(key)}`;
    if (this.dice.chance(0.35)) return void (await ask(`${path}/release`, { by: OPERATOR }));
    const answer = (await ask(`${path}/approve-retry`, { by: OPERATOR, runId })) as { kind?: string };
    if (answer.kind === 'approved') this.approvals.push({ key, runId, at: Date.now() });
  }
}

async function ask(url: string, body?: object): Promise<unknown> {
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(url, {
    ...(body === undefined ? {} : post),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  return response.json();
}
