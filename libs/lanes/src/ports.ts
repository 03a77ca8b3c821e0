import type {
  HeldTask,
  InboxMessage,
  SessionTokens,
  DeadLetter,
  JsonText,
  QueueSettings,
  TurnStartedEvent,
  LoadedHead,
} from '#contracts';
import type { Batch } from './turn-rules/batch.js';
import type { Ending, TurnOutcome } from './turn-rules/settlement.js';
import type { TaskRef, TaskRefusal } from './backlog/task-of-message.js';
import type { RawInboxMessage } from './backlog/inbox-item.js';
import type { CutTurn } from './lane/after-crash.js';
import type { TurnPolicy } from './turn-rules/turn-policy.js';

/**
 * What a lane runner needs from the outside. The worker plugs in JetStream and the agents, specs plug in memory.
 */

/** What became of a record that was sent. */
export type WriteOutcome =
  | { readonly kind: 'won'; readonly seq: number }
  | { readonly kind: 'lost'; readonly winner: LoadedHead }
  /** Certainly not stored, and never will be. */
  | { readonly kind: 'unsendable'; readonly description: string }
  /** The process stops. */
  | { readonly kind: 'abandoned' };

export interface RecordStore {
  /** Waits through an outage. Rejects only for a head that cannot be read at all. */
  loadHead(key: SessionTokens): Promise<LoadedHead>;
  /** The last turn that a worker announced. A hint: it may be missing or long decided. */
  loadCutTurn(key: SessionTokens): Promise<CutTurn | undefined>;
  /** Tells of records of the session as they are published: hints, since one may be refused. The answer ends it. */
  watchRecords(key: SessionTokens, onHint: () => void): () => void;
  /** One compare-and-set write, judged. Never rejects. */
  write(key: SessionTokens, body: string, commitId: string, expectedSeq: number): Promise<WriteOutcome>;
  /**
   * Keeps dead messages for operators, before the record that decides them: after it a crash would leave none. Tries until
   * they are stored; false when the process stops. Never rejects.
   */
  bury(key: SessionTokens, letters: readonly DeadLetter[]): Promise<boolean>;
  /** Unawaited and unacknowledged. What runs beside others is not what `loadCutTurn` is to find: its batch is known without. */
  announce(key: SessionTokens, event: TurnStartedEvent, isConcurrent: boolean): void;
}

export interface InboxPart {
  readonly messages: readonly RawInboxMessage[];
  /** Of the sequences that were asked for, those up to here were read. */
  readonly readTo: number;
}

/** The inbox, for what a lane did not keep. */
export interface InboxSource {
  /**
   * Those of these messages of the session that there still are, in order; by the leader where one is missing. Ends behind
   * the message with which it reaches `maxBytes`. Waits through an outage; `undefined` when the process stops. Never
   * rejects.
   */
  read(key: SessionTokens, seqs: readonly number[], maxBytes: number): Promise<InboxPart | undefined>;
}

/** The inbox, for lanes whose shard is read no further for now. */
export interface AheadSource {
  /** False: what answers `lastSeqs` may be behind, so that what it does not name may be there all the same. */
  readonly isExact: boolean;
  /** The sequence of the last message of each session, in the order of the keys; 0 = there is none. */
  lastSeqs(keys: readonly SessionTokens[]): Promise<readonly number[]>;
  /** All messages of a session from a sequence on that are stored by now, oldest first. */
  messagesOf(key: SessionTokens, fromSeq: number): AsyncIterable<RawInboxMessage>;
}

export interface TurnWork {
  readonly key: SessionTokens;
  readonly batch: Batch;
  readonly state: JsonText | undefined;
  /** Time (ms since the epoch) at which the signal aborts at the latest. */
  readonly deadline: number;
  /** Aborted when the handler has to stop. */
  readonly signal: AbortSignal;
  /** The listener is called when nothing that the handler still does counts. */
  onOver(listener: () => void): void;
}

export interface TurnRunner {
  /** Whether this process has the session's agent; messages of others wait until their shard is with a worker that has it. */
  knows(key: SessionTokens): boolean;
  /** The limits of the agent's turns. */
  policyOf(key: SessionTokens): TurnPolicy;
  /** How a message waits and is taken; without one, how those of the agent do. */
  queueingOf(key: SessionTokens, message?: Pick<InboxMessage, 'channel' | 'strategy'>): QueueSettings;
  /** True when the agent runs outside this process, so that a crash of ours does not end its work. */
  runsOutside(key: SessionTokens): boolean;
  /** Runs the handler. Never rejects. */
  run(work: TurnWork): Promise<TurnOutcome>;
  /** Absent = no message starts a task, and no run holds any. */
  readonly tasks?: TaskPorts | undefined;
}

/** How an attempt came to its end in this process. */
export interface AttemptEnd {
  /** Its handler ignored its abort: it may still be at work. */
  readonly isLeaked: boolean;
}

/**
 * What became of an attempt, or of a run that waited for its next one, in this process:
 *
 *   ended            its record stands
 *   again            the same batch runs again, here as far as is known
 *   again-elsewhere  it runs again at the next owner of the shard: what is held goes over to that one, and is neither renewed
 *                    nor released here
 *   discarded        nothing of it counts: another's record stands, the shard was lost, or it was handed back at a stop.
 *                    The worker that runs it again does not know what was held
 */
export type AttemptFate = 'ended' | 'again' | 'again-elsewhere' | 'discarded';

/** A run with what stands in its record of what it holds. */
export interface HoldingRun {
  readonly runId: string;
  readonly tasks?: readonly HeldTask[] | undefined;
}

/** What turns have to do with tasks. */
export interface TaskPorts {
  /** The task that a message starts; undefined = none. Asked once per message when it is read. Pure. */
  taskOf(key: SessionTokens, message: InboxMessage): TaskRef | undefined;
  /**
   * Whether a message that does not begin at once could get its task now. undefined = it may wait for its turn. Never
   * rejects, and takes a bounded time. Absent = nothing is asked before the turn does.
   */
  lookAtTask?(key: SessionTokens, task: TaskRef): Promise<TaskRefusal | undefined>;
  /**
   * The attempt was the last: its record is written when this resolves (a failure that the guard heard of after the record
   * would be forgotten by a crash in between). Called also for a condemned batch, which never ran here. Never rejects.
   */
  ending(key: SessionTokens, batch: Batch, ending: Ending, end: AttemptEnd): Promise<void> | undefined;
  /** Tasks that a run holds on to for its next attempt; they stand in the note of that. Not asked when it leaked. */
  heldTasks(runId: string): readonly HeldTask[];
  /**
   * Each attempt that was begun comes to one of these. So does a run that waits with holdings (`tasks`): `ended` without
   * `ending` when a note decides it (a cancel; they are to be released, also when another worker renewed them before),
   * `again-elsewhere` or `discarded` when its shard goes (about what this process itself renews, if anything).
   */
  attemptOver(key: SessionTokens, run: HoldingRun, fate: AttemptFate, end: AttemptEnd): void;
}
