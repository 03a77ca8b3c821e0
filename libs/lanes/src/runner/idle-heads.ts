import { type Head, emptyHead, type LoadedHead } from '#contracts';
import type { HeadTable } from './head-table.js';
import type { ShardLanes } from './shard-lanes.js';
import type { Lane } from '../lane/lane.js';

/**
 * What is left of sessions whose lanes were forgotten: the sequence of the last record, which is what the next record is
 * compared with. The next message of such a session needs no look at the broker.
 *
 * Nothing else has to be kept. A lane is forgotten only when everything that was received of its session is decided, and
 * everything of its shard up to `readTo` was received: so all of the session up to there is decided, and nothing above. Also of
 * a session that the table takes for another one: it loses no message. Only the sequence is wrong then, so its record does not
 * win, the real head comes back with the answer, and the turn runs again.
 *
 * An entry is true as long as no other process writes the session's records, which is as long as the shard is ours. Each
 * opening of a shard has names of its own: what is left of an earlier one is never found, and makes room for what comes.
 */
export class IdleHeads {
  constructor(private readonly table: HeadTable) {}

  /** The lane is forgotten. */
  keep(lane: Lane): void {
    const { head, headSeq, isContested, unfenced } = lane;
    const home = lane.home as ShardLanes;
    if (headSeq === 0 || home.state !== 'open' || isContested || unfenced !== undefined) return;
    // Its record may know more than this process: what a former owner decided is still to be received.
    if (head.upto <= home.readTo && saysNothing(head)) this.table.put(nameOf(lane), headSeq);
  }

  /**
   * The head of a new lane; undefined = it has to be read. `firstSeq`: the message for which the lane is made. To be called
   * before that message counts as received.
   */
  take(lane: Lane, firstSeq: number): LoadedHead | undefined {
    // Whether it is used or not: the lane is about to write records that the entry does not know.
    const seq = this.table.take(nameOf(lane));
    if (seq === undefined) return undefined;
    const home = lane.home as ShardLanes;
    // A note that fences a turn of another process needs the head that the broker has, not the one that this process
    // remembers. A message from before `readTo` came out of its order: whether it is decided, only the record says.
    if (home.mayBeCut(firstSeq, 0) || firstSeq <= home.readTo) return undefined;
    return { head: { ...emptyHead(), upto: home.readTo }, seq, stateSeq: 0 };
  }
}

/** It only says what is decided. Every field has its place here: one more in `Head` does not compile before it has one too. */
function saysNothing(head: Head): boolean {
  const {
    upto: _known,
    done,
    run,
    runs,
    holder,
    state,
    stateSeq,
    nextSequence,
    wentOn,
    children,
    relayed,
    ...rest
  } = head;
  const nothing: Record<string, never> = rest;
  if (run !== null || nextSequence !== null || wentOn !== undefined || done.length > 0) return false;
  if (runs !== undefined || holder !== undefined || state !== undefined || stateSeq !== undefined) return false;
  return [children, relayed, nothing].every((each) => Object.keys(each).length === 0);
}

function nameOf({ home, id }: Lane): string {
  return `${(home as ShardLanes).opening} ${id}`;
}
