import { parseRunId, type HeldTask, type InboxMessage, type QueueSettings, type SessionTokens } from '#contracts';
import type { Batch } from '../turn-rules/batch.js';
import type { AttemptEnd, HoldingRun, AttemptFate, TaskPorts } from '../ports.js';
import type { ProcessOptions } from './lane-process.fixture.js';
import { ManualTurns, settled as pause } from './lane-runner.fixture.js';
import { setUpSession } from './lane-strategies.fixture.js';
import type { Ending } from '../turn-rules/settlement.js';
import type { TaskRef, TaskRefusal } from '../backlog/task-of-message.js';

/** An agent whose messages may start tasks (`task`: the key), and a guard that says what the spec wants. */
export class TaskTurns extends ManualTurns implements TaskPorts {
  readonly tasks: TaskPorts = this;
  /** Questions that wait for their answer, by key. */
  readonly looks = new Map<string, (refusal?: TaskRefusal) => void>();
  readonly asked: string[] = [];
  /** What the runner heard of attempts, in order. */
  readonly heard: string[] = [];
  readonly held = new Map<string, readonly HeldTask[]>();
  /** Of tasks: as many as turns have without one. */
  maxAttempts = 3;
  /** While set, the record of an ending waits. */
  gate: Promise<void> | undefined;

  taskOf(_key: SessionTokens, { task }: InboxMessage): TaskRef | undefined {
    return typeof task === 'string' ? { key: task, maxAttempts: this.maxAttempts } : undefined;
  }

  ending(_key: SessionTokens, { runId }: Batch, { status, decision }: Ending, end: AttemptEnd) {
    this.heard.push(`ending ${seqOf(runId)} ${status} ${decision}${leak(end)}`);
    return this.gate;
  }

  heldTasks(runId: string): readonly HeldTask[] {
    return this.held.get(runId) ?? [];
  }

  attemptOver(_key: SessionTokens, { runId }: HoldingRun, how: AttemptFate, end: AttemptEnd): void {
    this.heard.push(`settled ${seqOf(runId)} ${how}${leak(end)}`);
  }
}

/** One that asks about a task when its message comes. */
export class LookingTurns extends TaskTurns {
  lookAtTask(_key: SessionTokens, { key }: TaskRef): Promise<TaskRefusal | undefined> {
    this.asked.push(key);
    return new Promise((resolve) => this.looks.set(key, resolve));
  }

  async answer(key: string, refusal?: TaskRefusal): Promise<void> {
    this.looks.get(key)?.(refusal);
    this.looks.delete(key);
    await pause();
  }
}

const leak = ({ isLeaked }: AttemptEnd): string => (isLeaked ? ' leaked' : '');
const seqOf = (runId: string): number | undefined => parseRunId(runId)?.firstSeq;

export const REFUSAL: TaskRefusal = {
  reason: 'approval_required',
  text: 'It failed, and waits for approval.',
  data: { task: 'k', result: 'approval_required' },
};

export function setUpTasks(
  queueing: Partial<QueueSettings> = {},
  { turns = new TaskTurns(), ...options }: Omit<ProcessOptions, 'turns'> & { readonly turns?: TaskTurns } = {},
) {
  const session = setUpSession(queueing, { ...options, turns });
  const trigger = (seq: number, task = 'k', body: object = {}): Promise<void> => session.send(seq, { task, ...body });
  /** What was decided otherwise than by being handled. */
  const otherwise = () => Object.fromEntries(session.decisions().filter(([, decision]) => decision !== 'handled'));
  const depth = (): number => session.answer().depth;
  return { ...session, turns, trigger, otherwise, depth };
}
