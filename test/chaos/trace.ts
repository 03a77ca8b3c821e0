import type { Call, History, LifeLine, RecordLine } from './history.js';

const AROUND = 8;

/** What happened in a session around one of its records or calls, a line for each step, for the search of a cause. */
export function traceOf(history: History, session: string, at: number): string[] {
  const start = Math.min(...history.lives.map(({ startedAt }) => startedAt));
  const lives = new Map(history.lives.map((life) => [life.incarnation, life]));
  const steps = [
    ...history.records
      .filter((line) => line.session === session)
      .map((line) => ({ at: line.at, text: recordText(line, lives) })),
    ...history.calls.filter((call) => call.session === session).flatMap((call) => callSteps(call)),
    ...history.inbox
      .filter((line) => line.session === session)
      .map(({ at: time, seq, id, cancels }) => ({
        at: time,
        text: `inbox ${seq} ${id}${cancels === undefined ? '' : ` ${JSON.stringify(cancels)}`}`,
      })),
  ].toSorted((a, b) => a.at - b.at);
  const middle = steps.findIndex((step) => step.at >= at);
  return steps
    .slice(Math.max(0, middle - 2 * AROUND), middle + AROUND)
    .map(({ at: time, text }) => `${((time - start) / 1000).toFixed(3)} ${text}`);
}

function recordText({ seq, expected, record }: RecordLine, lives: ReadonlyMap<string | undefined, LifeLine>): string {
  const by = lives.get(record.worker)?.name ?? record.worker;
  const decided = record.messages.map((message) => `${message.seq} ${message.decision}`).join(', ');
  const what = record.kind === 'turn' ? `${record.status} attempt ${record.attempt} of ${record.runId}` : '';
  const run = record.run === null ? '' : `run ${JSON.stringify(record.run)}`;
  return `record ${seq} on ${expected} by ${by}: ${record.kind} ${what} [${decided}] ${run}`;
}

function callSteps({ n, life, attempt, runId, startedAt, endedAt, isHungUp }: Call): { at: number; text: string }[] {
  const name = `call ${n} by ${life}`;
  return [
    { at: startedAt, text: `${name}: attempt ${attempt} of ${runId}` },
    { at: endedAt, text: `${name} ${isHungUp ? 'is hung up' : 'is answered'}` },
  ];
}
