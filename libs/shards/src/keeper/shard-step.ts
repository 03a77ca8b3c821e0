/**
 * What this process does next with one shard: the rules of ownership, as a pure function.
 *
 *   away      not ours
 *   acquiring the lease that names us is on its way
 *   opening   the lease is ours, its work is beginning
 *   owned     the lease is ours, its work goes on
 *   releasing its work ends or is let go; then the lease is given up
 *
 *   away -> acquiring      it is assigned to us, and nobody owns it, or who does is dead
 *   acquiring -> opening   the lease was written
 *   acquiring -> away      somebody was faster
 *   opening -> owned       the work has begun
 *   owned -> releasing     it is assigned to somebody else: at once while nothing runs; what is busy may first come to an
 *                          end for a while; a process that drains waits for nothing
 *   releasing -> away      the lease says that nobody owns it, and where to go on
 *   opening, owned, releasing -> away   the lease names somebody else: lost
 *
 * Invariants: the work of a shard is open only while the lease names us (the way into `opening` is a won
 * compare-and-set); it is given up before the lease is. A shard is acquired only when it is known that it has no owner, that its
 * owner is dead, or that we are its owner.
 */
export type DutyState = 'away' | 'acquiring' | 'opening' | 'owned' | 'releasing';

export interface ShardSituation {
  readonly state: DutyState;
  readonly isAssignedToUs: boolean;
  /** Somebody is there that it is assigned to. */
  readonly hasAssignee: boolean;
  /** `nobody`: it has no owner, or we are its owner. `unknown`: what stands there is no lease that this version can read. */
  readonly owner: 'nobody' | 'dead' | 'alive' | 'unsure' | 'unknown';
  readonly isDraining: boolean;
  /** Our own membership stands, and nothing is wrong with the source. */
  readonly mayAcquire: boolean;
  /** Turns that run in it. */
  readonly running: number;
  /** For how long it is assigned to somebody else - ms. */
  readonly unwantedMs: number;
}

export type ShardStep = 'acquire' | 'judge' | 'release' | 'nothing';

/** How long a busy shard is kept for its turns to end before it moves with a session held. */
export const BUSY_PATIENCE_MS = 1_000;

export function nextStep(situation: ShardSituation): ShardStep {
  const { state, isDraining, isAssignedToUs, hasAssignee, owner, mayAcquire, running, unwantedMs } = situation;
  if (state === 'away') {
    if (!isAssignedToUs || isDraining || !mayAcquire) return 'nothing';
    if (owner === 'unsure') return 'judge';
    return owner === 'alive' || owner === 'unknown' ? 'nothing' : 'acquire';
  }
  if (state !== 'owned' || isAssignedToUs) return 'nothing';
  if (isDraining) return 'release';
  if (!hasAssignee) return 'nothing';
  return running === 0 || unwantedMs >= BUSY_PATIENCE_MS ? 'release' : 'nothing';
}
