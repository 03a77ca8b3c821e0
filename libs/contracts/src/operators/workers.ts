import { z } from 'zod';
import type { Answer } from './check-answer.js';

/** `GET /v1/workers`. */

/** What workers say of themselves beside what the library needs. Each may lack: workers of another version run too. */
export const toldByWorker = z.object({
  capacity: z.number().optional(),
  running: z.number().optional(),
  waiting: z.number().describe('Sessions that wait for nothing but a slot').optional(),
  paused: z.number().describe('Shards that it reads no further for now, since enough messages wait').optional(),
  lanes: z.number().describe('Sessions in its memory; those with nothing to do leave after a while').optional(),
  waitingBytes: z
    .number()
    .describe('Bodies of waiting messages in its memory - bytes; of the others it knows only the sequence')
    .optional(),
  busy: z.number().describe('Share of the time in which the event loop worked, 0 to 1').optional(),
  leaked: z.number().optional(),
  discarded: z.number().optional(),
  version: z.string().optional(),
  settingsVersion: z
    .number()
    .describe("Version of the installation's settings that it acts on; 0 = it started before there were any")
    .optional(),
  agents: z.array(z.string()).optional(),
  startedAt: z.number().describe('ms since the epoch').optional(),
  waitingForAgents: z
    .record(z.string(), z.number())
    .describe('Sessions that wait for agents that it does not have, by agent; some of the agents, when they are many')
    .optional(),
});

const workerEntry = z.object({
  worker: z.string(),
  incarnation: z.string(),
  draining: z.boolean(),
  ...toldByWorker.shape,
  shards: z.number().describe('How many it owns'),
  shardList: z.string().describe('Which, such as 0-15,40; absent when it owns none').optional(),
});
export type WorkerEntry = Answer<typeof workerEntry>;

export const workerList = z.object({
  workers: z.array(workerEntry).describe('Sorted by their names'),
  shards: z.object({
    total: z.number(),
    owned: z.number().describe('By a worker of the list'),
    unowned: z
      .number()
      .describe('Without an owner, or with one that is gone and whose time to live is not over or not yet noticed'),
    held: z.number().describe('Sessions whose turn still runs on a worker that gave their shard away'),
  }),
  settings: z
    .object({
      current: z.number().describe('What a process that starts now acts on'),
      ingress: z.number().describe('What the ingress that answers acts on'),
    })
    .describe("Versions of the installation's settings; absent while it has none")
    .optional(),
});
export type WorkerList = Answer<typeof workerList>;
