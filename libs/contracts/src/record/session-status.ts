/** What the owner of a shard knows about one session: question and answer on `<ns>.rpc.shard.<n>`. */
export interface SessionQuestion {
  readonly agentToken: string;
  readonly sessionToken: string;
}

export interface SessionAnswer {
  /** `waiting-for-agent`: the owner of its shard does not have its agent. */
  readonly state: 'idle' | 'queued' | 'running' | 'held' | 'retrying' | 'waiting-for-agent';
  /** Undecided messages that wait, without those of the running turn. */
  readonly depth: number;
  /** Age of the oldest waiting message in ms; null when none waits. */
  readonly oldestMs: number | null;
  readonly running?: {
    readonly runId: string;
    readonly attempt: number;
    readonly seqs: readonly number[];
    readonly startedAt: number;
  };
  /** The next attempt of a failed turn; not before `notBefore`, ms since the epoch. */
  readonly retry?: {
    readonly runId: string;
    readonly attempt: number;
    readonly seqs: readonly number[];
    readonly notBefore: number;
  };
  /** Turns of `concurrent` messages: running ones, and ones that are retried (`notBefore`, ms since the epoch). */
  readonly concurrent?: readonly {
    readonly runId: string;
    readonly attempt: number;
    readonly seqs: readonly number[];
    readonly startedAt?: number;
    readonly notBefore?: number;
  }[];
  /** Numbered messages that came before lower numbers; they wait until `endsAt` at the latest, ms since the epoch. */
  readonly early?: { readonly seqs: readonly number[]; readonly endsAt: number };
  /** A quiet or fixed time in which no turn begins; it ends at `endsAt`, ms since the epoch. */
  readonly window?: { readonly seqs: readonly number[]; readonly endsAt: number };
  /** Keys of tasks that its runs hold; absent = none. */
  readonly tasks?: readonly string[];
  readonly worker: string;
}
