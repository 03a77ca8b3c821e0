import type { Clock, HeldTask, InboxMessage, SessionTokens } from '#contracts';
import type { Batch } from '../turn-rules/batch.js';
import type { TurnWork, AttemptEnd, HoldingRun, AttemptFate, TaskPorts } from '../ports.js';
import { ManualTurns, type StartedTurn } from './lane-runner.fixture.js';
import type { Ending, TurnOutcome } from '../turn-rules/settlement.js';
import type { TaskRef, TaskRefusal } from '../backlog/task-of-message.js';

/**
 * A task guard in memory and runners that keep to their contract with it, for lanes that go from process to process. What a
 * process holds is renewed until it lets go of it or is gone.
 */

/** How long a holding lasts that is not renewed any more. */
const TTL_MS = 100;
/** Before the next attempt at another process goes on with it. */
const HANDOVER_TTL_MS = 1_000;
const APPROVED_AFTER_MS = 200;

interface Entry {
  readonly state: 'running' | 'failed';
  readonly runId: string;
  readonly token: number;
  readonly holder: string;
  readonly expiresAt: number;
}

export class ModelGuard {
  readonly seen = { acquired: 0, goneOn: 0, own: 0, healed: 0, failed: 0 };
  private readonly entries = new Map<string, Entry>();
  private lastToken = 0;

  constructor(private readonly clock: Pick<Clock, 'now' | 'after'>) {}

  acquire(key: string, runId: string, holder: string, token?: number): number | 'own' | TaskRefusal {
    const entry = this.entries.get(key);
    const isOver = entry?.state === 'running' && entry.expiresAt <= this.clock.now();
    if (entry !== undefined && !isOver) {
      if (entry.state === 'running' && entry.runId === runId) {
        if (entry.token !== token) {
          this.seen.own++;
          return 'own';
        }
        this.seen.goneOn++;
        return this.grant(key, runId, holder);
      }
      return refusalOf(key, entry);
    }
    if (isOver) this.seen.healed++;
    this.seen.acquired++;
    return this.grant(key, runId, holder);
  }

  /** Each attempt has a token of its own, greater than the last. */
  private grant(key: string, runId: string, holder: string): number {
    const token = ++this.lastToken;
    this.entries.set(key, { state: 'running', runId, token, holder, expiresAt: Number.POSITIVE_INFINITY });
    return token;
  }

  look(key: string): TaskRefusal | undefined {
    const entry = this.entries.get(key);
    return entry === undefined || entry.expiresAt <= this.clock.now() ? undefined : refusalOf(key, entry);
  }

  release(key: string, token: number): void {
    if (this.isHeldBy(key, token)) this.entries.delete(key);
  }

  /** From now on it needs approval, which comes after a while. */
  fail(key: string, runId: string): void {
    const entry = this.entries.get(key);
    if (entry?.state !== 'running' || entry.runId !== runId) return;
    this.seen.failed++;
    this.entries.set(key, { ...entry, state: 'failed', expiresAt: Number.POSITIVE_INFINITY });
    this.clock.after(APPROVED_AFTER_MS, () => this.entries.delete(key));
  }

  /** It is renewed no more. */
  letGo(key: string, token: number, ttlMs = TTL_MS): void {
    const entry = this.entries.get(key);
    if (entry === undefined || !this.isHeldBy(key, token)) return;
    this.entries.set(key, { ...entry, expiresAt: Math.min(entry.expiresAt, this.clock.now() + ttlMs) });
  }

  isRunBy(key: string, runId: string): boolean {
    const entry = this.entries.get(key);
    return entry?.state === 'running' && entry.runId === runId;
  }

  /** What a process says that it still holds. */
  get held(): string[] {
    const running = [...this.entries].filter(([, { state }]) => state === 'running');
    return running.flatMap(([key, { expiresAt, holder }]) => (expiresAt === Infinity ? [`${key} by ${holder}`] : []));
  }

  private isHeldBy(key: string, token: number): boolean {
    const entry = this.entries.get(key);
    return entry?.state === 'running' && entry.token === token;
  }
}

/** Runs turns of messages with tasks as the guard allows. */
export class GuardedTurns extends ManualTurns implements TaskPorts {
  readonly tasks: TaskPorts = this;
  private readonly held = new Map<string, HeldTask>();

  constructor(
    private readonly guard: ModelGuard,
    private readonly worker: string,
    private readonly pass: () => Promise<void>,
    onStart: (turn: StartedTurn) => void,
    violations: string[],
  ) {
    super(onStart, violations);
  }

  taskOf(_key: SessionTokens, { task }: InboxMessage): TaskRef | undefined {
    // One of them has one attempt, the other as many as turns without a task.
    return typeof task === 'string' ? { key: task, maxAttempts: task === 'k' ? 3 : 1 } : undefined;
  }

  async lookAtTask(_key: SessionTokens, { key }: TaskRef): Promise<TaskRefusal | undefined> {
    await this.pass();
    return this.guard.look(key);
  }

  override run(work: TurnWork): Promise<TurnOutcome> {
    const { task, runId, tasks = [] } = work.batch;
    if (task === undefined) return super.run(work);
    const { key } = task;
    const answer = this.guard.acquire(key, runId, this.worker, tasks.find((each) => each.key === key)?.token);
    if (answer === 'own') {
      const error = { name: 'task_held', message: 'by a former attempt' };
      return Promise.resolve({ kind: 'failed', error, next: { laterMs: 20 } });
    }
    if (typeof answer === 'object') return Promise.resolve({ kind: 'refused', refusal: answer });
    this.held.set(runId, { key, token: answer });
    return super.run(work);
  }

  async ending(_key: SessionTokens, batch: Batch, { status }: Ending, { isLeaked }: AttemptEnd): Promise<void> {
    const { runId, task } = batch;
    if (task === undefined) return;
    await this.pass();
    const held = this.held.get(runId);
    if (status === 'failed' || status === 'timed_out') this.guard.fail(task.key, runId);
    else if (held !== undefined && !isLeaked) this.guard.release(held.key, held.token);
  }

  heldTasks(runId: string): readonly HeldTask[] {
    const held = this.held.get(runId);
    return held === undefined ? [] : [held];
  }

  attemptOver(
    _key: SessionTokens,
    { runId, tasks = [] }: HoldingRun,
    how: AttemptFate,
    { isLeaked }: AttemptEnd,
  ): void {
    if (how === 'again' && !isLeaked) return;
    // What others renew is let go by them; what no process runs any more is released by the one that decided that.
    const all = [...this.heldTasks(runId), ...(how === 'ended' ? tasks : [])];
    this.held.delete(runId);
    for (const { key, token } of all) {
      if (how === 'ended' && !isLeaked) this.guard.release(key, token);
      else this.guard.letGo(key, token, how === 'again-elsewhere' ? HANDOVER_TTL_MS : TTL_MS);
    }
  }

  /** Also what it does not know to be lost. */
  get tokens(): readonly number[] {
    return [...this.held.values()].map(({ token }) => token);
  }

  /** Those under which a handler is at work. */
  get tokensAtWork(): readonly number[] {
    return [...this.active.values()].flatMap(({ batch }) => this.held.get(batch.runId)?.token ?? []);
  }

  /** The process is gone. */
  lapse(): void {
    for (const { key, token } of this.held.values()) this.guard.letGo(key, token);
  }
}

function refusalOf(key: string, { state }: Entry): TaskRefusal {
  const reason = state === 'failed' ? 'approval_required' : 'already_running';
  return { reason, text: reason, data: { task: key, result: reason } };
}
