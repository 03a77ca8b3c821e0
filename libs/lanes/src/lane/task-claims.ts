import { type Head, isDecided } from '#contracts';
import type { TaskRefusal } from '../backlog/task-of-message.js';

export interface Claim {
  /** The message that has it. */
  readonly seq: number;
  /** It is to be refused itself: until that stands, the same task is refused to others too. */
  readonly refusal?: TaskRefusal;
}

/** With fewer claims than this, those that are over are not looked for. */
const PRUNE_FROM = 64;

/**
 * Which of a session's undecided messages has a task: the first that came with its key. A claim is over when a record decides
 * its message, also one of another worker; no call has to say so. Without it a hundred triggers of one task would wait beside
 * each other, push others out of the queue, and run one after the other as soon as the guard lets each in.
 */
export class TaskClaims {
  private readonly claims = new Map<string, Claim>();
  private pruneAt = PRUNE_FROM;

  of(key: string, head: Head): Claim | undefined {
    const claim = this.claims.get(key);
    return claim === undefined || isDecided(head, claim.seq) ? undefined : claim;
  }

  set(key: string, claim: Claim, head: Head): void {
    this.claims.set(key, claim);
    if (this.claims.size >= this.pruneAt) this.prune(head);
  }

  /** A session that names a new task with every message must not fill the memory. */
  private prune(head: Head): void {
    for (const [key, { seq }] of this.claims) if (isDecided(head, seq)) this.claims.delete(key);
    this.pruneAt = Math.max(PRUNE_FROM, 2 * this.claims.size);
  }
}
