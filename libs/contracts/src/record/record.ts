import { z } from 'zod';
import { DECISIONS, OUTCOMES } from './decisions.js';
import { parseCarried } from '../json/json-read.js';
import type { JsonText } from '../json/json-text.js';
import { isPlainTurn } from './plain-record.js';

/**
 * The record: a durable write about a session, and the only thing a crash has to leave behind.
 *
 * Kind `turn` ends a turn; kind `note` makes a decision durable before a turn ends. Both carry the session's whole head,
 * so the last record of the subject is always enough to go on. The body is written once and never changed.
 */

const sequence = z.int().nonnegative();

/** What an agent gave: found as text when the record is parsed, and not looked into again. */
const json = z.unknown() as z.ZodType<JsonText>;

/** `[from, to]`, both included. A range says that every message of this session inside it is decided. */
const sequenceRange = z.tuple([sequence, sequence]);
export type SequenceRange = z.infer<typeof sequenceRange>;

/** A holding of the task guard that goes over to the next attempt of the same run. */
const heldTask = z.object({
  key: z.string(),
  token: z.int().positive(),
  /** How many of its attempts failed. Absent = none. */
  failures: z.int().positive().optional(),
});
export type HeldTask = z.infer<typeof heldTask>;

/** What went wrong with an attempt, and what an outside agent said of it; bounded by who writes it. */
export const recordedError = z.object({
  name: z.string(),
  message: z.string(),
  /** Of the agent's HTTP answer. */
  status: z.int().optional(),
  /** The beginning of the agent's answer. */
  excerpt: z.string().optional(),
});

/** The undecided batch in work or waiting for a retry. The same `runId` always has the same `seqs` (L7). */
const runInWork = z.object({
  runId: z.string(),
  seqs: z.array(sequence).min(1),
  /** The number of the attempt that runs next (1 = the first). */
  attempt: z.int().positive(),
  /** How many of its attempts took their worker down. Counted by notes alone, never by hints. */
  crashes: z.int().nonnegative(),
  /** How many of its attempts failed; crashes and stops of a worker are not among them. Absent = 0. */
  failures: z.int().nonnegative().optional(),
  /** It runs alone, as it took two workers down: should this one end too, it is the one to blame. */
  quarantined: z.literal(true).optional(),
  /** Not before this time (ms since the epoch, by the clock of the worker that wrote it) may the next attempt start. */
  notBefore: z.number().optional(),
  /** How long that was when it was written - ms: by no other clock is it more. Absent = it was not said. */
  waitMs: z.number().nonnegative().optional(),
  /** Since when (ms since the epoch) the run is put off by "later" without an attempt in between. */
  laterSince: z.number().optional(),
  /**
   * The parts of a split batch that come behind it, in order, each a run of its own: present from its first attempt on, and
   * empty for the last part. Absent = it is no part.
   */
  rest: z.array(z.array(sequence).min(1)).optional(),
  /** Why its last attempt failed, shortened. Absent = none has, or there is no room for it. */
  error: recordedError.optional(),
  /** Tasks that it holds on to between its attempts; who ended without a word holds on to none. Absent = none. */
  tasks: z.array(heldTask).optional(),
});
export type RunInWork = z.infer<typeof runInWork>;

const head = z.object({
  /** Every inbox message of the session at or below is decided. */
  upto: sequence,
  /** Decided sequences above `upto`, ascending, apart from each other. */
  done: z.array(sequenceRange),
  run: runInWork.nullable(),
  /** Runs of `concurrent` messages that failed, were cut or put off, and come again; first attempts are not told. Absent = none. */
  runs: z.array(runInWork).optional(),
  /** Incarnation that still runs other turns of the session, though its shard has another owner; it writes until they end. */
  holder: z.string().optional(),
  /** What the agent keeps between turns; any JSON. Absent = nothing kept, or `stateSeq` says where it stands. */
  state: json.optional(),
  /** LK_TURNS sequence of the record that holds the state, when it is too large to repeat in a note. */
  stateSeq: sequence.optional(),
  /** The next dense `sequence` number of the reorder buffer; null until a message starts the count. */
  nextSequence: sequence.nullable(),
  /**
   * The lane went on to this number without some before it, when it had read the inbox to this sequence: who comes behind that
   * with a lower one is late. Absent = nothing below `nextSequence` tells more.
   */
  wentOn: z.object({ to: sequence, readTo: sequence }).optional(),
  /** Runs that this session spawned and whose completion is still to come, by their id. */
  children: z.record(z.string(), z.json()),
  /** Highest relay handled per origin session, so that a relay is decided once also after the dedup window. */
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
  /** Random per record: tells one's own stored commit from another's when its ack was lost. */
  commitId: z.string(),
  /** Incarnation that wrote it. */
  worker: z.string(),
  messages: z.array(messageDecision),
});

/** What a sender is told whose message is decided without a turn. */
const noteReply = reply.extend({
  /** The message that it answers. */
  seq: sequence,
  /** Where that came from. */
  thread: z.string().optional(),
  replyTo: z.string().optional(),
});
export type NoteReply = z.infer<typeof noteReply>;

const noteRecord = recordBase.extend({
  kind: z.literal('note'),
  /** Absent = nothing is said. */
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

/** Exported for the spec of what is read without it. */
export const sessionRecord = z.discriminatedUnion('kind', [turnRecord, noteRecord]);
export type NoteRecord = z.infer<typeof noteRecord>;
export type TurnRecord = z.infer<typeof turnRecord>;
export type SessionRecord = z.infer<typeof sessionRecord>;

/** The head that a record carries. Its state may be elsewhere (`stateSeq`), and is not in it. */
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

/** What of a record is only carried. */
const CARRIED = { state: true, sends: { '*': { data: true } } } as const;

export type ParsedRecord = { ok: true; record: SessionRecord } | { ok: false; problem: string };

/** `undefined`: its bytes are no text. */
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
