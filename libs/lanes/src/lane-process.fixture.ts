import type { SessionRecord } from '#contracts';
import {
  makeRunner,
  ManualClock,
  ManualTurns,
  MemoryRecords,
  MemoryStore,
  POLICY,
  rawMessage,
  sessionKey,
  settled,
  type StartedTurn,
} from './lane-runner.fixture.js';
import type { TurnPolicy } from './turn-policy.js';

/** Three attempts, and limits that a spec meets on purpose. */
export const RETRY_POLICY: TurnPolicy = {
  ...POLICY,
  maxAttempts: 3,
  turnTimeoutMs: 10_000,
  abortGraceMs: 200,
  retryLaterMaxMs: 60_000,
};

export interface ProcessOptions {
  readonly records?: MemoryRecords;
  /** One for several processes. */
  readonly clock?: ManualClock;
  readonly isRecovery?: boolean;
  readonly capacity?: number;
}

/** One process: a runner in memory over records that may outlive it. */
export function setUpProcess({
  records = new MemoryRecords(),
  clock = new ManualClock(),
  ...options
}: ProcessOptions = {}) {
  const turns = new ManualTurns();
  turns.policy = RETRY_POLICY;
  /** While closed, what is asked for does not reach the broker. */
  const closed = new Set<string>();
  const waiting: (() => void)[] = [];
  const open = async (): Promise<void> => {
    closed.clear();
    for (const resume of waiting.splice(0)) resume();
    await settled();
  };
  const pass = (what: string): Promise<void> =>
    closed.has(what) ? new Promise((resolve) => void waiting.push(resolve)) : Promise.resolve();
  const { capacity = 100 } = options;
  const runner = makeRunner({ store: new MemoryStore(records, pass), turns, clock, capacity });
  const receive = async (session: string, seq: number, body: object | string = {}): Promise<void> => {
    runner.receive(sessionKey(session), rawMessage(seq, body), options.isRecovery ?? false);
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
  const answer = () => runner.describe('main', 'a');
  return { clock, records, turns, runner, closed, open, receive, turn, end, fail, started, answer };
}

export const decisionsOf = (records: readonly SessionRecord[]) =>
  records.flatMap(({ messages }) => messages.map(({ seq, decision }) => [seq, decision]));
