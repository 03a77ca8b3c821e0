import { setTimeout as pause } from 'node:timers/promises';
import { parseRecord, type SessionRecord } from '#contracts';
import { names, type BenchBroker } from './bench-broker.js';

/** A message and its end, by the broker's clock. */
export interface DecidedMessage {
  readonly session: string;
  readonly seq: number;
  readonly storedAtMs: number;
  readonly decidedAtMs: number;
  /** The worker whose record decides it, by its id. */
  readonly worker: string;
}

export interface HistoryRules {
  /** A turn whose worker was killed runs again; none does because its shard was handed over. */
  readonly mayRunAgain: boolean;
}

interface Undecided {
  readonly session: string;
  readonly storedAtMs: number;
}

const PATIENCE_MS = 30_000;
const LOOK_EVERY_MS = 250;
const SHOWN = 5;

/**
 * What became of every message. Throws when one was lost, or decided twice, out of order, or as something else than
 * handled, or when turns of one session ran side by side.
 */
export async function readHistory(broker: BenchBroker, rules: HistoryRules): Promise<DecidedMessage[]> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const { decided, undecided, problems } = await look(broker, rules);
    if (undecided.size > 0 && performance.now() < deadline) {
      await pause(LOOK_EVERY_MS);
      continue;
    }
    for (const [seq, { session }] of undecided) problems.push(`message ${seq} of ${session} was lost`);
    if (problems.length === 0) return decided;
    throw new Error(`${problems.length} things went wrong:\n${problems.slice(0, SHOWN).join('\n')}`);
  }
}

async function look(broker: BenchBroker, { mayRunAgain }: HistoryRules) {
  // Records first: none of them can decide what is stored later.
  const records = await broker.readAll(names.turnsStream);
  const undecided = new Map<number, Undecided>();
  for (const { subject, seq, storedAtMs } of await broker.readAll(names.inboxStream)) {
    undecided.set(seq, { session: sessionOf(subject), storedAtMs });
  }
  const decided: DecidedMessage[] = [];
  const problems: string[] = [];
  const sessions = new Map<string, { lastSeq: number; endedAt: number }>();
  for (const { subject, seq: recordSeq, storedAtMs: decidedAtMs, data } of records) {
    const session = sessionOf(subject);
    const record = parse(data, recordSeq);
    const former = sessions.get(session) ?? { lastSeq: 0, endedAt: 0 };
    sessions.set(session, former);
    const say = (what: string): void => void problems.push(`record ${recordSeq} of ${session}: ${what}`);
    if (record.kind === 'turn') {
      if (record.startedAt < former.endedAt) say('its turn began before the former one had ended');
      if (record.attempt > 1 && !mayRunAgain) say(`its turn ran ${record.attempt} times`);
      former.endedAt = record.endedAt;
    }
    for (const { seq, decision } of record.messages) {
      const message = undecided.get(seq);
      undecided.delete(seq);
      if (message?.session !== session) say(`message ${seq} is not there, or was decided before`);
      else decided.push({ ...message, seq, decidedAtMs, worker: record.worker.split('/')[0] ?? '' });
      if (decision !== 'handled') say(`message ${seq} is ${decision}`);
      if (seq <= former.lastSeq) say(`message ${seq} comes after ${former.lastSeq}`);
      former.lastSeq = seq;
    }
  }
  return { decided, undecided, problems };
}

function sessionOf(subject: string): string {
  return names.parseSessionSubject(subject).sessionToken;
}

function parse(data: Uint8Array, seq: number): SessionRecord {
  const parsed = parseRecord(Buffer.from(data).toString());
  if (parsed.ok) return parsed.record;
  throw new Error(`record ${seq} cannot be read: ${parsed.problem}`);
}
