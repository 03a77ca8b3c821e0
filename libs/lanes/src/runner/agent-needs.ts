/**
 * Which agents a shard needs, as its lease tells all workers: each computes from that which worker is to have the shard, and a
 * worker that has the first of them is preferred. Pure: the times come in, by a clock that never goes back.
 *
 *   (not named) --a message waits for an agent that its owner lacks--> waited for, behind those that the owner serves
 *   waited for  --an owner has it, which got the shard for it--> served, in front
 *   served      --its turn is over, and another is waited for--> served, behind the others: a worker that has those gets the shard
 *   waited for  --none of its messages is left--> (not named)
 *   served      --none of its sessions was busy for a while--> (not named): the shard goes back to its usual owner
 *
 * Agents of disjoint workers so take turns, and a shard moves at most once in `TURN_MS` because of them.
 */

/** An agent that the messages of a shard need. */
export interface AgentNeed {
  readonly agent: string;
  /** For how long its messages have waited, over all owners in a row that lacked it - ms. */
  readonly waitedMs: number;
}

/** What is seen of a shard while it is asked. */
export interface SeenAgents {
  /** Those that this process lacks, with messages that wait for them. */
  readonly waiting: Iterable<string>;
  /** Some of its messages may not have been seen: what former owners told still counts. */
  readonly isPartial: boolean;
  /** A session of it was busy lately, or is. */
  isUsed(agent: string): boolean;
}

/** How long the owner that got a shard for an agent keeps it while others are waited for. */
export const TURN_MS = 10_000;
/** A lease names so many; the others of the shard are named when some of these have ended. */
export const MAX_NEEDS = 32;

export class AgentNeeds {
  /** Of agents that are waited for here: since when, and how long they had been before. */
  private readonly waits = new Map<string, { readonly since: number; readonly beforeMs: number }>();
  private told: readonly AgentNeed[];

  constructor(
    /** As the former owner told them. */
    former: readonly AgentNeed[],
    private readonly has: (agent: string) => boolean,
    private readonly openedAt: number,
  ) {
    this.told = former;
  }

  /** A message waits for an agent that this process lacks. */
  waitsFor(agent: string, now: number): void {
    if (this.waits.has(agent)) return;
    const beforeMs = this.told.find((need) => need.agent === agent)?.waitedMs ?? 0;
    this.waits.set(agent, { since: now, beforeMs });
  }

  /** For how long its messages have waited at owners that lack it; 0 = it is not known to be waited for. */
  waitedMs(agent: string, now: number): number {
    const wait = this.waits.get(agent);
    return wait === undefined ? 0 : wait.beforeMs + now - wait.since;
  }

  /** What the lease is to say now. `stepMs`: times are told in steps of this, so that the lease changes no more often. */
  list({ waiting, isPartial, isUsed }: SeenAgents, now: number, stepMs: number): readonly AgentNeed[] {
    const lacked = new Set(waiting);
    const isTurn = now - this.openedAt < TURN_MS;
    const known = this.told.map(({ agent }) => agent);
    if (isPartial) for (const agent of known) if (!this.has(agent)) lacked.add(agent);
    for (const agent of lacked) this.waitsFor(agent, now);
    for (const agent of [...this.waits.keys()]) if (!lacked.has(agent)) this.waits.delete(agent);
    const served = known.filter((agent) => this.has(agent) && (isTurn || isUsed(agent)));
    // The agent that has waited longest for its turn comes first.
    const waited = [...known.filter((agent) => lacked.has(agent)), ...[...lacked].filter((a) => !known.includes(a))];
    const order = isTurn ? [...served, ...waited] : [...waited, ...served];
    this.told = order.slice(0, MAX_NEEDS).map((agent) => {
      const waitedMs = this.waitedMs(agent, now);
      return { agent, waitedMs: Math.floor(waitedMs / stepMs) * stepMs };
    });
    return this.told;
  }
}
