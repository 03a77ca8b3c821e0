import { z } from 'zod';
import { sentMessage } from '../message/message.js';
import { deadLetter } from '../record/dead-letter.js';
import type { Answer } from './check-answer.js';

/** `/v1/dead`: messages that will not be retried. */

const deadSummary = z.object({
  deadId: z.string().describe('Names it in the other routes: <agent>.<session>.<seq>'),
  agent: z.string(),
  session: z.string(),
  ...deadLetter.omit({ v: true, message: true }).shape,
});
export type DeadSummary = Answer<typeof deadSummary>;

export const deadList = z.object({
  dead: z.array(deadSummary).describe('Oldest first'),
  next: z.number().describe('`after` of the next page; absent = there is none').optional(),
});
export type DeadList = Answer<typeof deadList>;

export const deadMessage = deadSummary.extend({ message: sentMessage });
export type DeadMessage = Answer<typeof deadMessage>;

export const deadRetry = z.object({
  deadId: z.string(),
  messageId: z.string(),
  seq: z.number().describe('Of the new message in the inbox'),
  duplicate: z.boolean().describe('True = it was sent again before'),
});
export type DeadRetry = Answer<typeof deadRetry>;

export const deadDrop = z.object({ deadId: z.string(), dropped: z.literal(true) });
export type DeadDrop = Answer<typeof deadDrop>;
