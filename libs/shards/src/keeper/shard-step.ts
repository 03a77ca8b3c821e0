/**
 * What this process does next with one shard: the rules of ownership, as a pure function.
 *
 *   away      the shard is not ours
 *   acquiring we are writing the lease that names us
 *   opening   the lease is ours, its work is starting
 *   owned     the lease is ours, its work is going on
 *   releasing its work ends or moves to handoff; then the lease is given up
 *
 *   away -> acquiring      it is assigned to us, and it has no owner or its owner is dead
 *   acquiring -> opening   the lease was written
 *   acquiring -> away      another member wrote the lease first
 *   opening -> owned       the work has started
 *   owned -> releasing     it is assigned to another member: at once while nothing runs; a busy shard first gets some time for
 *                          its turns to end; a process that drains does not wait
 *   releasing -> away      the lease says that the shard has no owner, and where to resume
 *   opening, owned, releasing -> away   the lease names another member: lost
 *
 * Invariants: the work of a shard is open only while the lease names us (only a successful compare-and-set leads to
 * `opening`); the work is given up before the lease is. A shard is acquired only when it certainly has no owner, its owner is
 * certainly dead, or we are its owner.
 */
export type DutyState = 'away' | 'acquiring' | 'opening' | 'owned' | 'releasing';

export interface ShardSituation {
  readonly state: DutyState;
  readonly isAssignedToUs: boolean;
  /** There is a member that the shard is assigned to. */
  readonly hasAssignee: boolean;
  /** `none`: it has no owner, or we are its owner. `unknown`: this version cannot read what is stored under its key. */
  readonly owner: 'none' | 'dead' | 'alive' | 'unsure' | 'unknown';
  readonly isDraining: boolean;
  /** Our own membership stands, and the source was not rewound. */
  readonly mayAcquire: boolean;
  /** Turns that run in it. */
  readonly running: number;
  /** For how long it has been assigned to another member - ms. */
  readonly unwantedMs: number;
}

export type ShardStep = 'acquire' | 'judge' | 'release' | 'nothing';

/** How long a busy shard is kept for its turns to end before it moves with sessions in handoff. */
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
