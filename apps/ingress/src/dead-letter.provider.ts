import { Injectable } from '@nestjs/common';
import { taskOfMessage, type TaskLookup, type TaskSettings } from '#guards';
import { notFound, ProblemException } from '#http';
import type { DeadEntry, DeadLetters, DeadQuery } from './dead-letters.client.js';

/** What the routes of dead messages answer. */
@Injectable()
export class DeadLetterService {
  constructor(
    private readonly letters: DeadLetters,
    private readonly tasks: Pick<TaskLookup, 'conflictOn'>,
    private readonly settings: TaskSettings,
  ) {}

  async list(query: DeadQuery): Promise<object> {
    const { dead, next } = await this.letters.list(query);
    return { dead: dead.map(summary), ...(next === undefined ? {} : { next }) };
  }

  async show(deadId: string): Promise<object> {
    const entry = await this.letters.find(deadId);
    if (entry === undefined) throw unknownEntry();
    const { v: _version, kind: _kind, ...message } = entry.letter.message;
    return { ...summary(entry), message };
  }

  async retry(deadId: string): Promise<object> {
    const entry = await this.letters.find(deadId);
    if (entry !== undefined) await this.expectTaskMayRun(entry);
    const sent = await this.letters.retry(deadId);
    if (sent === undefined) throw unknownEntry();
    return { deadId, ...sent };
  }

  /** It would be refused, and be among the dead ones no more. */
  private async expectTaskMayRun({ agent, session, letter }: DeadEntry): Promise<void> {
    const key = taskOfMessage(this.settings, { agent, session }, letter.message)?.key;
    if (key === undefined) return;
    const found = await this.tasks.conflictOn(key);
    if (found === undefined) return;
    const { state, conflict } = found;
    const isRunning = conflict.kind === 'already_running';
    const remedy = isRunning ? 'wait until it ends' : 'approve it first (`lanekeeper tasks approve-retry`)';
    throw new ProblemException({
      status: 409,
      code: 'task-not-free',
      title: 'Its task cannot run now',
      detail: `task ${JSON.stringify(key)}: found it ${state}, wanted it free; ${remedy}, then retry the message`,
      extra: { task: key, state },
    });
  }

  async drop(deadId: string): Promise<object> {
    if (!(await this.letters.drop(deadId))) throw unknownEntry();
    return { deadId, dropped: true };
  }
}

function summary({ deadId, agent, session, letter }: DeadEntry): object {
  const { messageId, seq, runId, attempts, status, error, deadAt } = letter;
  return { deadId, agent, session, messageId, seq, runId, attempts, status, error, deadAt };
}

function unknownEntry(): Error {
  return notFound('dead message', 'deadId: none of this id; it was retried or dropped, or GET /v1/dead lists another');
}
