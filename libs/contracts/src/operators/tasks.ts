import { z } from 'zod';
import { STALE_POLICIES, TASK_STATES, type TaskState } from '../message/task-guard.js';
import type { Answer } from './check-answer.js';

/** `/v1/tasks`, as far as it is for operators. Times are ms since the epoch, by the clock of the guard. */

/** One step in the life of a task, for people. */
const taskStep = z.object({
  at: z.number(),
  what: z.enum(['acquired', 'released', 'stale', 'approved', 'approval_expired', 'ended']),
  runId: z.string().optional(),
  status: z.string().describe('How a holding ended').optional(),
  by: z.string().describe('Who approved or ended it').optional(),
});
export type TaskStep = Answer<typeof taskStep>;

/** A task as people see it. */
export const taskView = z.object({
  key: z.string(),
  state: z.enum(TASK_STATES),
  runId: z.string(),
  token: z.number(),
  owner: z.string().optional(),
  startedAt: z.number(),
  expiresAt: z.number().describe('Of one that runs or is stale').optional(),
  stale: z.enum(STALE_POLICIES).optional(),
  meta: z.unknown().describe('Any JSON that the holder gave').optional(),
  endedAt: z.number().optional(),
  status: z.string().describe('How its last holding ended').optional(),
  error: z.object({ name: z.string(), message: z.string() }).optional(),
  result: z.unknown().describe('Any JSON that the holder gave at the end').optional(),
  approvableUntil: z.number().optional(),
  approvedBy: z.string().optional(),
  approvedAt: z.number().optional(),
  keptUntil: z
    .number()
    .describe('When it is forgotten unless it changes first; absent = it runs, or is kept for ever')
    .optional(),
  attempts: z.number().describe('Holdings since it last succeeded'),
  staleCount: z.number().describe('How often a holder of it was gone without a release'),
  history: z.array(taskStep),
});
export type TaskView = Answer<typeof taskView>;

const counts = Object.fromEntries(TASK_STATES.map((state) => [state, z.number().optional()]));

export const taskList = z.object({
  tasks: z.array(taskView).describe('In the order of their last change, the longest unchanged first'),
  next: z.number().describe('`after` of the next page; absent = there is none').optional(),
  counts: z
    .object(counts as Record<TaskState, z.ZodOptional<z.ZodNumber>>)
    .describe('Of all tasks that run, or wait for an approval, as this replica has heard of them'),
});
export type TaskList = Answer<typeof taskList>;
export type TaskCounts = TaskList['counts'];

export const taskApproval = z.object({ kind: z.literal('approved'), by: z.string(), at: z.number() });
export type TaskApproval = Answer<typeof taskApproval>;

/** `ended`: an operator released it, without its token. */
export const taskEnd = z.object({ kind: z.enum(['released', 'ended']), state: z.enum(TASK_STATES) });
export type TaskEnd = Answer<typeof taskEnd>;
