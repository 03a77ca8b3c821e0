import { z } from 'zod';
import { OUTCOMES } from '../record/decisions.js';
import { sessionRecord } from '../record/record.js';
import { sessionActivity } from '../record/session-status.js';
import type { Answer } from './check-answer.js';
import { taskView } from './tasks.js';

/** `GET /v1/agents/{agent}/sessions/{session}` and its `turns`. */

/** A task in the view of a session; the routes of the guard tell the rest. */
const sessionTask = taskView.pick({
  ...{ key: true, state: true, runId: true, owner: true, startedAt: true, expiresAt: true },
  ...{ endedAt: true, status: true, error: true },
});
export type SessionTask = Answer<typeof sessionTask>;

export const sessionView = z.object({
  agent: z.string(),
  session: z.string(),
  ...sessionActivity.shape,
  lastTurn: z.object({ runId: z.string(), status: z.enum(OUTCOMES), endedAt: z.number() }).optional(),
  worker: z.string().describe('Incarnation that owns its shard; absent = none answered').optional(),
  tasks: z
    .array(sessionTask)
    .describe('Those of its own that run or wait for an approval, and shared ones that its runs hold'),
  locks: z.array(z.unknown()).describe('None in this version'),
});
export type SessionView = Answer<typeof sessionView>;

const [turn, note] = sessionRecord.options;
const stored = {
  recordSeq: z.number().describe('Sequence of the record in the stream of turns'),
  // Any JSON. As the record has it, its type and its schema would refer to themselves.
  children: z.record(z.string(), z.unknown()),
};

export const sessionTurns = z.object({
  turns: z
    .array(z.discriminatedUnion('kind', [turn.extend(stored), note.extend(stored)]))
    .describe('Newest first, with the notes that decide messages'),
});
export type SessionTurns = Answer<typeof sessionTurns>;
