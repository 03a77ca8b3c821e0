import type { HeldTask, InboxMessage, SessionTokens } from '#contracts';
import type { Batch } from './turn-rules/batch.js';
import type { Ending } from './turn-rules/settlement.js';
import type { TaskRef, TaskRefusal } from './backlog/task-of-message.js';

/** How an attempt came to its end in this process. */
export interface AttemptEnd {
  /** Its handler ignored its abort: it may still be at work. */
  readonly isLeaked: boolean;
}

/**
 * What became of an attempt, or of a run that waited for its next one, in this process:
 *
 *   ended            its record stands
 *   again            the same batch runs again, here as far as anybody knows
 *   again-elsewhere  it runs again at whoever owns the shard next: what is held goes over to that, and is neither renewed
 *                    nor released here
 *   discarded        nothing of it counts: another's record stands, the shard was lost, or it was handed back at a stop.
 *                    Whoever runs it again does not know what was held
 */
export type Settled = 'ended' | 'again' | 'again-elsewhere' | 'discarded';

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
   * rejects, and takes a bounded time. Absent = nobody asks before the turn does.
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
   * `ending` when a note decides it (a cancel; whoever renewed them before, they are to be released), `again-elsewhere` or
   * `discarded` when its shard goes (about what this process itself renews, if anything).
   */
  settled(key: SessionTokens, run: HoldingRun, how: Settled, end: AttemptEnd): void;
}
