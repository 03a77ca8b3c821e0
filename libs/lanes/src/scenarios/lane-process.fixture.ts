import type { CancelTarget, Clock, LaneEvent, SessionRecord, SessionTokens } from '#contracts';
import {
  afterCrash,
  makeRunner,
  ManualClock,
  ManualTurns,
  type MemoryInbox,
  MemoryRecords,
  MemoryStore,
  POLICY,
  rawMessage,
  sessionKey,
  settled,
  type StartedTurn,
} from './lane-runner.fixture.js';
import type { Logger } from '#telemetry';
import type { FormerOwners } from '../runner/handoffs.js';
import type { IdleHeads } from '../runner/idle-heads.js';
import type { AheadSource } from '../ports.js';
import type { MemoryLimits } from '../runner/lane-runner-options.js';
import type { LaneProgress } from '../runner/shard-lanes.js';
import type { TurnPolicy } from '../turn-rules/turn-policy.js';

/** Three attempts, and limits that a spec meets on purpose. */
export const RETRY_POLICY: TurnPolicy = {
  ...POLICY,
  maxAttempts: 3,
  turnTimeoutMs: 10_000,
  abortGraceMs: 200,
  retryLaterMaxMs: 60_000,
  laneBuffer: 512,
};

export interface ProcessOptions {
  readonly records?: MemoryRecords;
  /** One for several processes. */
  readonly clock?: ManualClock;
  /** The process takes over from one that is gone. */
  readonly isRecovery?: boolean;
  /** Up to here that one may have begun turns; everything when absent. */
  readonly crashedUpTo?: number;
  /** What it was handed over. */
  readonly from?: LaneProgress;
  /** What does not reach the broker at first. */
  readonly shut?: readonly string[];
  readonly capacity?: number;
  /** Default: backoffs without jitter, and "later" a quarter behind what was asked for. */
  readonly random?: () => number;
  readonly worker?: string;
  readonly formerOwners?: FormerOwners;
  readonly mayStart?: (shard: number) => boolean;
  readonly inbox?: MemoryInbox;
  readonly memory?: MemoryLimits;
  readonly heads?: IdleHeads;
  readonly ahead?: AheadSource;
  readonly laneBuffer?: number;
  readonly turns?: ManualTurns;
  readonly onEvent?: (key: SessionTokens, event: LaneEvent) => void;
  /** Those that the process has - default: `main`, of which all sessions are here. */
  readonly agents?: readonly string[];
  readonly agentMissingMs?: number;
  readonly log?: Logger;
}

/** One process: a runner in memory over records that may outlive it. */
export function setUpProcess({
  records = new MemoryRecords(),
  clock = new ManualClock(),
  ...options
}: ProcessOptions = {}) {
  const { turns = new ManualTurns() } = options;
  const { laneBuffer = RETRY_POLICY.laneBuffer } = options;
  turns.policy = { ...RETRY_POLICY, laneBuffer };
  if (options.agents !== undefined) turns.agents = new Set(options.agents);
  /** While closed, what is asked for does not reach the broker. */
  const closed = new Set<string>(options.shut);
  const waiting: (() => void)[] = [];
  const open = async (): Promise<void> => {
    closed.clear();
    for (const resume of waiting.splice(0)) resume();
    await settled();
  };
  let isDead = false;
  /** From here on it asks for nothing, and nothing comes back to it. */
  const kill = (): void => {
    isDead = true;
    turns.active.clear();
  };
  const pass = (what: string): Promise<void> => {
    if (isDead) return new Promise(() => {});
    return closed.has(what) ? new Promise((resolve) => void waiting.push(resolve)) : Promise.resolve();
  };
  const ownClock: Clock = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after: (delayMs, fn) => clock.after(delayMs, () => void (isDead || fn())),
  };
  const { isRecovery = false, ...given } = options;
  const parts = isRecovery ? { from: afterCrash(records, options.crashedUpTo), ...given } : given;
  const store = new MemoryStore(records, pass);
  const runner = makeRunner({ ...parts, store, turns, clock: ownClock });
  const receive = async (session: string, seq: number, body: object | string = {}): Promise<void> => {
    runner.receive(sessionKey(session), rawMessage(seq, body));
    await settled();
  };
  const turn = (session: string): StartedTurn => {
    const active = turns.active.get(session);
    if (active === undefined) throw new Error(`no turn of session ${session} runs`);
    return active;
  };
  const end = async (session: string): Promise<void> => {
    turn(session).end();
    await settled();
  };
  const fail = async (session: string, ...how: Partial<Parameters<StartedTurn['fail']>>): Promise<void> => {
    turn(session).fail(how[0] ?? 'Boom', how[1]);
    await settled();
  };
  const started = (session: string) =>
    turns.started
      .filter((each) => each.session === session)
      .map(({ seqs, batch }) => ({ seqs: [...seqs], runId: batch.runId, attempt: batch.attempt }));
  const answer = () => runner.describe(sessionKey('a'));
  return { clock, records, turns, runner, store, closed, open, kill, receive, turn, end, fail, started, answer };
}

/** What a sender of an order publishes. */
export const cancelOrder = (target: CancelTarget) => ({ kind: 'control', op: 'cancel', target });

export const decisionsOf = (records: readonly SessionRecord[]) =>
  records.flatMap(({ messages }) => messages.map(({ seq, decision }) => [seq, decision]));
