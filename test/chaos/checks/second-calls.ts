import type { Call, History, RecordLine, Violation } from '../history.js';
import { lossesOf, type Losses } from '../losses.js';
import { wasJustStopped } from '../memberships.js';
import { wasOverOnArrival, type SessionHistory } from '../session-history.js';

/**
 * An attempt that was begun before its process was stopped may be heard of so much later: its handler may have to hear of a
 * guard first, or to hear of none, and the machine may be busy. That nothing begins after a stop is a matter of L4.
 */
const UNDER_WAY_MS = 3_000;

/** Why a message came to the agent again. */
export type Cause = 'failure' | 'loss' | 'cancel';

export interface SecondCall {
  readonly former: Call;
  readonly call: Call;
  /** Absent: there is none that L8 allows. */
  readonly cause?: Cause;
}

/**
 * L8: a turn is called again only after its own failure, or after the loss of the process that ran it. A broker that is away,
 * that elects a leader or whose replicas are behind is no cause: a turn outlives that.
 */
export function checkSecondCalls(
  history: Pick<History, 'lives' | 'ttlMs' | 'renewMs'>,
  sessions: readonly SessionHistory[],
): Violation[] {
  return secondCalls(history, sessions)
    .filter(({ cause }) => cause === undefined)
    .map(({ former, call }): Violation => {
      const says = describe(former, call);
      return { invariant: 'L8', says, session: call.session, at: call.startedAt };
    });
}

/** By message: what runs a second time may be in another batch then, and so be another run. */
export function secondCalls(
  history: Pick<History, 'lives' | 'ttlMs' | 'renewMs'>,
  sessions: readonly SessionHistory[],
): SecondCall[] {
  const isLost = lossesOf(history);
  const lives = new Map(history.lives.map((life) => [life.name, life]));
  // Sent before its process was stopped and heard of when another one had gone on: it began before the other's.
  const isLate = ({ life, startedAt }: Call, momentMs?: number): boolean => {
    const process = lives.get(life);
    return process !== undefined && wasJustStopped(process, startedAt, momentMs);
  };
  return sessions.flatMap(({ calls, records }) => {
    const lastOf = new Map<number, Call>();
    const found: SecondCall[] = [];
    for (const call of calls) {
      const formers = new Set(call.messages.flatMap(({ seq }) => lastOf.get(seq) ?? []));
      const others = [...formers].filter(({ life }) => life !== call.life);
      // Of another batch with the same message, too: what an owner that is gone had begun runs again with what came since.
      const isOlder = others.some(({ attempt }) => attempt > call.attempt);
      const isBehind = others.length > 0 && isLate(call, isOlder ? UNDER_WAY_MS : undefined);
      if (isBehind || wasOverOnArrival(call, records)) continue;
      for (const { seq } of call.messages) lastOf.set(seq, call);
      for (const former of formers) {
        const cause = causeOf(former, call, records, isLost, isLate);
        found.push({ former, call, ...(cause === undefined ? {} : { cause }) });
      }
    }
    return found;
  });
}

function causeOf(
  former: Call,
  { startedAt }: Call,
  records: readonly RecordLine[],
  isLost: Losses,
  isLate: (call: Call) => boolean,
): Cause | undefined {
  if (former.isFailure) return 'failure';
  if (isLost(former, startedAt)) return 'loss';
  const { isHungUp, runId, task } = former;
  // The rest of its batch is another run. Its answer may have come in the moment in which it was cancelled.
  if (records.some(({ record }) => isCancelOf(record, runId))) return 'cancel';
  // Its time was over, or that of its task. Who was stopped may hear of a good answer after that.
  const mayHaveFailed = isHungUp || task !== undefined || isLate({ ...former, startedAt: former.endedAt });
  return mayHaveFailed && isCountedAsFailure(former, records) ? 'failure' : undefined;
}

function isCancelOf(record: RecordLine['record'], runId: string): boolean {
  return record.kind === 'turn' && record.status === 'cancelled' && record.runId === runId;
}

/** Whether the note behind an attempt says that it failed, and not that its process was taken for dead. */
function isCountedAsFailure({ runId, attempt }: Call, records: readonly RecordLine[]): boolean {
  const notes = records
    .flatMap(({ record }) => [record.run, ...(record.runs ?? [])])
    .filter((run) => run !== null && run.runId === runId);
  const before = notes.findLast((run) => (run?.attempt ?? 0) <= attempt)?.failures ?? 0;
  const after = notes.find((run) => (run?.attempt ?? 0) > attempt);
  return (after?.failures ?? 0) > before;
}

function describe(former: Call, call: Call): string {
  const end = former.isHungUp ? 'was hung up' : 'was answered well';
  const same = former.runId === call.runId ? 'the same run' : call.runId;
  return (
    `${call.session}: call ${call.n} (attempt ${call.attempt} of ${same}, by ${call.life}) came ` +
    `${call.startedAt - former.startedAt} ms after call ${former.n} (attempt ${former.attempt} of ${former.runId}, by ${former.life}), ` +
    `which ${end}, and its process was neither killed nor stopped nor cut off beyond its time`
  );
}
