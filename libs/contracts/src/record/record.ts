import { z } from 'zod';
import { DECISIONS, OUTCOMES } from './decisions.js';
import { parseCarried } from '../json/json-read.js';
import type { JsonText } from '../json/json-text.js';
import { isPlainTurn } from './plain-record.js';

/**
 * The record: a durable write about a session, and all that must survive a crash.
 *
 * Kind `turn` ends a turn; kind `note` makes a decision durable before a turn ends. Both contain the session's whole head,
 * so the last record of the subject is always enough to continue. The body is written once and never changed.
 */

const sequence = z.int().nonnegative();

/** What an agent gave: kept as text when the record is parsed, and not read again. */
const json = z.unknown() as z.ZodType<JsonText>;

/** `[from, to]`, both included: every message of this session in the range is decided. */
const sequenceRange = z.tuple([sequence, sequence]);
export type SequenceRange = z.infer<typeof sequenceRange>;

/** A holding of the task guard that passes to the next attempt of the same run. */
const heldTask = z.object({
  key: z.string(),
  token: z.int().positive(),
  /** How many of its attempts failed. Absent = none. */
  failures: z.int().positive().optional(),
});
export type HeldTask = z.infer<typeof heldTask>;

/** What went wrong in an attempt, and what an outside agent answered; its writer bounds it. */
export const recordedError = z.object({
  name: z.string(),
  message: z.string(),
  /** Status of the agent's HTTP answer. */
  status: z.int().optional(),
  /** The beginning of the agent's answer. */
  excerpt: z.string().optional(),
});

/** The undecided batch that runs or waits for a retry. The same `runId` always has the same `seqs` (L7). */
const runInWork = z.object({
  runId: z.string(),
  seqs: z.array(sequence).min(1),
  /** The number of the attempt that runs next (1 = the first). */
  attempt: z.int().positive(),
  /** How many of its attempts crashed their worker. Only notes count these, never hints. */
  crashes: z.int().nonnegative(),
  /** How many of its attempts failed, without crashes and stops of a worker. Absent = 0. */
  failures: z.int().nonnegative().optional(),
  /** It runs alone, since two workers crashed with it: if this one crashes too, the run is the cause. */
  quarantined: z.literal(true).optional(),
  /** The next attempt may not start before this time (ms since the epoch, by the clock of the worker that wrote it). */
  notBefore: z.number().optional(),
  /** The length of that wait when it was written - ms: by another clock the wait is never longer. Absent = unknown. */
  waitMs: z.number().nonnegative().optional(),
  /** Since when (ms since the epoch) "later" has postponed the run without an attempt in between. */
  laterSince: z.number().optional(),
  /**
   * The following parts of a split batch, in order, each a run of its own: present from its first attempt on, and empty for
   * the last part. Absent = it is not a part.
   */
  rest: z.array(z.array(sequence).min(1)).optional(),
  /** Why its last attempt failed, shortened. Absent = no attempt failed, or there is no room for it. */
  error: recordedError.optional(),
  /** Tasks that it keeps between its attempts; a run whose worker crashed keeps none. Absent = none. */
  tasks: z.array(heldTask).optional(),
});
export type RunInWork = z.infer<typeof runInWork>;

const head = z.object({
  /** Every inbox message of the session at or below this is decided. */
  upto: sequence,
  /** Decided sequences above `upto`, ascending, apart from each other. */
  done: z.array(sequenceRange),
  run: runInWork.nullable(),
  /**
   * Runs of `concurrent` messages that failed, were cut or postponed, and are retried; first attempts are not listed. Absent
   * = none.
   */
  runs: z.array(runInWork).optional(),
  /** Incarnation that still runs other turns of the session, though its shard has another owner; it writes until they end. */
  holder: z.string().optional(),
  /** What the agent keeps between turns; any JSON. Absent = nothing, or `stateSeq` says which record has it. */
  state: json.optional(),
  /** LK_TURNS sequence of the record with the state, when the state is too large to repeat in a note. */
  stateSeq: sequence.optional(),
  /** The next `sequence` number that the reorder buffer expects; null until a message starts the count. */
  nextSequence: sequence.nullable(),
  /**
   * The lane continued with number `to` without some numbers before it, when it had read the inbox up to `readTo`: a message
   * that comes after that with a lower number is late. Absent = `nextSequence` says it all.
   */
  wentOn: z.object({ to: sequence, readTo: sequence }).optional(),
  /** Runs that this session spawned and that have not completed yet, by their id. */
  children: z.record(z.string(), z.json()),
  /** Highest relay handled per origin session, so that a relay is decided only once, even after the dedup window. */
  relayed: z.record(z.string(), z.int()),
});
export type Head = z.infer<typeof head>;

const messageDecision = z.object({
  id: z.string(),
  seq: sequence,
  decision: z.enum(DECISIONS),
  reason: z.string().optional(),
});
export type MessageDecision = z.infer<typeof messageDecision>;

const reply = z.object({ kind: z.literal('reply'), text: z.string().optional(), data: json.optional() });
export type Reply = z.infer<typeof reply>;

const recordBase = head.extend({
  v: z.literal(1),
  /** Random per record: identifies our own commit when its ack was lost. */
  commitId: z.string(),
  /** Incarnation that wrote it. */
  worker: z.string(),
  messages: z.array(messageDecision),
});

/** What the sender of a message that is decided without a turn is told. */
const noteReply = reply.extend({
  /** The message that it answers. */
  seq: sequence,
  /** The thread that the message came from. */
  thread: z.string().optional(),
  replyTo: z.string().optional(),
});
export type NoteReply = z.infer<typeof noteReply>;

const noteRecord = recordBase.extend({
  kind: z.literal('note'),
  /** Absent = no reply is sent. */
  sends: z.array(noteReply).optional(),
});

const turnRecord = recordBase.extend({
  kind: z.literal('turn'),
  runId: z.string(),
  attempt: z.int().positive(),
  status: z.enum(OUTCOMES),
  sends: z.array(reply),
  usage: z.record(z.string(), z.number()).optional(),
  error: recordedError.optional(),
  /** ms since the epoch, by the clock of the worker. */
  startedAt: z.number(),
  endedAt: z.number(),
});

/** Exported for the spec of the fast path. */
export const sessionRecord = z.discriminatedUnion('kind', [turnRecord, noteRecord]);
export type NoteRecord = z.infer<typeof noteRecord>;
export type TurnRecord = z.infer<typeof turnRecord>;
export type SessionRecord = z.infer<typeof sessionRecord>;

/** The head that a record contains. The state is left out; it may be in another record (`stateSeq`). */
export function headOf(record: SessionRecord): Head {
  const { upto, done, run, runs, holder, nextSequence, wentOn, children, relayed } = record;
  return {
    ...{ upto, done, run, nextSequence, children, relayed },
    ...(runs === undefined ? {} : { runs }),
    ...(holder === undefined ? {} : { holder }),
    ...(wentOn === undefined ? {} : { wentOn }),
  };
}

/** Largest record that is written; a turn whose record would be larger fails with `record_too_large`. */
export const MAX_RECORD_BYTES = 768 * 1024;
/** Largest state that a turn may leave. */
export const MAX_STATE_BYTES = 256 * 1024;
/** Above this a note refers to the state by `stateSeq` instead of repeating it. */
export const MAX_NOTE_STATE_BYTES = 32 * 1024;

/** Parts of a record that are passed on without being read. */
const CARRIED = { state: true, sends: { '*': { data: true } } } as const;

export type ParsedRecord = { ok: true; record: SessionRecord } | { ok: false; problem: string };

/** `undefined`: its bytes are not text. */
export function parseRecord(text: string | undefined): ParsedRecord {
  if (text === undefined) return { ok: false, problem: 'it is no UTF-8' };
  let value: unknown;
  try {
    value = parseCarried(text, CARRIED, 'state');
  } catch {
    return { ok: false, problem: 'it is no JSON' };
  }
  if (isPlainTurn(value)) return { ok: true, record: value as TurnRecord };
  const parsed = sessionRecord.safeParse(value);
  if (parsed.success) return { ok: true, record: parsed.data };
  const issue = parsed.error.issues[0];
  return { ok: false, problem: `${issue?.path.join('.') || 'shape'}: ${issue?.message}` };
}
