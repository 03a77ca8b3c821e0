import { type Head, type RunInWork, decide } from '#contracts';
import type { InboxItem } from '../backlog/inbox-item.js';
import type { LaneView, RunView } from './lane-view.js';

/**
 * What the next record of a lane says of where it is: what is decided with it, which number is due, and which runs are to
 * come.
 */

/** The cursor after `seqs` are decided too. */
export function cursorAfter(lane: LaneView, seqs: readonly number[]): Pick<Head, 'upto' | 'done' | 'nextSequence'> {
  const { head, backlog } = lane;
  const nextSequence = backlog.nextNumberAfter(seqs, () => itemsInWork(lane), head);
  // The common case, and the only one for a long backlog: nothing that waits lies before the last of these.
  const last = Math.max(0, ...seqs);
  if (head.done.length === 0 && decidesAllThatRuns(lane, seqs) && last < (backlog.oldestSeq ?? last + 1)) {
    return { upto: last, done: head.done, nextSequence };
  }
  // What lies above all that is decided changes nothing, and may be a long backlog.
  const upTo = Math.max(last, head.done.at(-1)?.[1] ?? 0);
  const undecided = backlog.undecided(itemsInWork(lane), head, upTo);
  return { ...decide(head, seqs, undecided, backlog.lastSeq), nextSequence };
}

/** What a record says of the runs; `about` is the one that it is about, `content` what comes of it. */
export function runsInRecord(lane: LaneView, about?: RunView, content?: RunInWork): Pick<Head, 'run' | 'runs'> {
  const { head, serial } = lane;
  const run = about === serial ? content : (serial.attemptInWork ?? head.run);
  const runs = lane.hasConcurrentRuns ? lane.concurrent.inRecord(about, content) : [];
  return runs.length === 0 ? { run: run ?? null } : { run: run ?? null, runs };
}

function itemsInWork({ running }: LaneView): InboxItem[] {
  return running.flatMap(({ batch }) => batch?.items ?? []);
}

function decidesAllThatRuns({ head, running }: LaneView, seqs: readonly number[]): boolean {
  const [only, another] = running;
  const items = another === undefined ? only?.batch?.items : undefined;
  return items?.length === seqs.length && items.every(({ seq }, i) => seq === seqs[i] && seq > head.upto);
}
