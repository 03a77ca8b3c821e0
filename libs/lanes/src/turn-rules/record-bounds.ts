import type { DescribedError, Head, HeldTask } from '#contracts';
import type { InboxItem } from '../backlog/inbox-item.js';

/**
 * What stands in one record at the most, so that there is always one that fits (`MAX_RECORD_BYTES`): that of a turn's failure,
 * and a note that decides a message. Else a lane that cannot write it would try for ever, or stop.
 *
 *   the state                                256 KiB in a turn's record, 32 KiB in a note
 *   what is decided                          256 KiB, and at most `MAX_RECORD_MESSAGES`
 *   what a note tells senders                128 KiB
 *   runs beside each other                   96 KiB, and 64 KiB of sequences in them
 *   tasks that runs hold on to               32 KiB
 *   holes of the cursor                      36 KiB (`MAX_DONE_RANGES`)
 *   the last errors of runs                  8 KiB
 *   the run in turn, an error, all the rest  less than 24 KiB
 *
 * What a turn may choose (replies, the state) is checked against what is left, and the turn fails.
 */

const MAX_DECIDED_BYTES = 256 * 1024;
const MAX_RUNS_BYTES = 96 * 1024;
/** Sequences of all runs beside each other; a sequence has up to 16 digits. */
export const MAX_SEQS_OF_RUNS = 4_000;
const MAX_HELD_BYTES = 32 * 1024;
const MAX_ERRORS_BYTES = 8 * 1024;
/** Of an error's message and of what the agent said - characters. */
const MAX_SAID_CHARS = 400;

/** Of one decision all but the id: names, sequence, decision, and a reason of a hundred characters. */
const DECISION_BYTES = 400;
const MOST_BYTES_PER_CHAR = 3;
/** Of one run all but its session and its sequences. */
const RUN_BYTES = 180;

/** As many of these as one record decides, at least one; no more than `maxCount`. */
export function withinRecord(items: readonly InboxItem[], maxCount: number): InboxItem[] {
  let bytes = 0;
  let count = 0;
  for (const { id } of items) {
    bytes += id.length * MOST_BYTES_PER_CHAR + DECISION_BYTES;
    if (count === maxCount || (bytes > MAX_DECIDED_BYTES && count > 0)) break;
    count++;
  }
  return items.slice(0, count);
}

/** How many runs of a session may stand in a record: fewer where its name, which each of them repeats, is long. */
export function maxRunsInRecord(laneId: string): number {
  return Math.floor(MAX_RUNS_BYTES / (laneId.length + RUN_BYTES));
}

/**
 * The first tasks of a run for which there is room in the note of its next attempt. Of the others only this worker knows: when
 * the next attempt is at another one, it waits for their end as behind a crash.
 */
export function heldWithinRecord(tasks: readonly HeldTask[], { run, runs = [] }: Head, runId: string): HeldTask[] {
  const others = [...(run === null ? [] : [run]), ...runs].filter((other) => other.runId !== runId);
  let bytes = others.reduce((sum, other) => sum + bytesOf(other.tasks), 0);
  const fitting: HeldTask[] = [];
  for (const task of tasks) {
    bytes += bytesOf(task);
    if (bytes > MAX_HELD_BYTES) break;
    fitting.push(task);
  }
  return fitting;
}

/** What the note of a run's next attempt says of its last one: shortened, and nothing where other runs have taken the room. */
export function errorWithinRecord(
  { message, excerpt, ...error }: DescribedError,
  { run, runs = [] }: Head,
  runId: string,
): DescribedError | undefined {
  const shortened = {
    ...error,
    message: shorten(message),
    ...(excerpt === undefined ? {} : { excerpt: shorten(excerpt) }),
  };
  const others = [...(run === null ? [] : [run]), ...runs].filter((other) => other.runId !== runId);
  const bytes = others.reduce((sum, other) => sum + bytesOf(other.error), bytesOf(shortened));
  return bytes > MAX_ERRORS_BYTES ? undefined : shortened;
}

function shorten(text: string): string {
  return text.slice(0, MAX_SAID_CHARS).toWellFormed();
}

function bytesOf(value: unknown): number {
  return value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value));
}
