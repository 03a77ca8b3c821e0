import { Injectable } from '@nestjs/common';
import type { DeadDrop, DeadList, DeadMessage, DeadRetry, DeadSummary, TaskConflict } from '#contracts';
import { taskOfMessage, type TaskLookup, type TaskSettings } from '#guards';
import { notFound, ProblemException } from '#http';
import type { DeadEntry, DeadLetters, DeadQuery } from './dead-letters.client.js';

/** The service behind the routes of dead messages. */
@Injectable()
export class DeadLetterService {
  constructor(
    private readonly letters: DeadLetters,
    private readonly tasks: Pick<TaskLookup, 'conflictOn'>,
    private readonly settings: TaskSettings,
  ) {}

  async list(query: DeadQuery): Promise<DeadList> {
    const { dead, next } = await this.letters.list(query);
    return { dead: dead.map(summary), ...(next === undefined ? {} : { next }) };
  }

  async show(deadId: string): Promise<DeadMessage> {
    const entry = await this.find(deadId);
    const { v: _version, kind: _kind, ...message } = entry.letter.message;
    return { ...summary(entry), message };
  }

  async retry(deadId: string): Promise<DeadRetry> {
    const entry = await this.find(deadId);
    await this.expectTaskMayRun(entry);
    return { deadId, ...(await this.letters.retry(entry)) };
  }

  /** Its task would refuse it, and it would no longer be listed as dead. */
  private async expectTaskMayRun({ key: tokens, letter }: DeadEntry): Promise<void> {
    const key = taskOfMessage(this.settings, tokens, letter.message)?.key;
    if (key === undefined) return;
    const found = await this.tasks.conflictOn(key);
    if (found === undefined) return;
    const { state, conflict } = found;
    throw new ProblemException({
      status: 409,
      code: 'task-not-free',
      title: 'Its task cannot run now',
      detail: `task ${JSON.stringify(key)}: found it ${state}, wanted it free; ${remedyFor(conflict)}, then retry the message`,
      extra: { task: key, state },
    });
  }

  async drop(deadId: string): Promise<DeadDrop> {
    await this.letters.drop(await this.find(deadId));
    return { deadId, dropped: true };
  }

  private async find(deadId: string): Promise<DeadEntry> {
    const entry = await this.letters.find(deadId);
    if (entry !== undefined) return entry;
    const remedy = 'deadId: none of this id; it was retried or dropped, or GET /v1/dead lists another';
    throw notFound('dead message', remedy);
  }
}

function remedyFor(conflict: TaskConflict): string {
  if (conflict.kind === 'already_running') return 'wait until it ends';
  // The time for an approval is over.
  if (conflict.approvalExpired === true) return 'release it (`lanekeeper tasks release`)';
  return 'approve it (`lanekeeper tasks approve-retry`)';
}

function summary({ deadId, agent, session, letter }: DeadEntry): DeadSummary {
  const { messageId, seq, runId, attempts, status, error, deadAt } = letter;
  return { deadId, agent, session, messageId, seq, runId, attempts, status, error, deadAt };
}
