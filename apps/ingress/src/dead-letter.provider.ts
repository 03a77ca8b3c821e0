import { Injectable } from '@nestjs/common';
import { notFound } from '#http';
import type { DeadEntry, DeadLetters, DeadQuery } from './dead-letters.client.js';

/** What the routes of dead messages answer. */
@Injectable()
export class DeadLetterService {
  constructor(private readonly letters: DeadLetters) {}

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
    const sent = await this.letters.retry(deadId);
    if (sent === undefined) throw unknownEntry();
    return { deadId, ...sent };
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
