import type { RunInWork } from '#contracts';
import type { InboxLine, Violation } from '../history.js';
import { at, type SessionHistory } from '../session-history.js';
import { isConcurrent } from '../sessions.js';

/**
 * L2: per session and route in inbox order, and the route of the oldest message first. Cancelled, refused and concurrent ones
 * aside.
 */
export function checkOrder({ session, inbox, records, calls }: SessionHistory): Violation[] {
  if (isConcurrent(session)) return [];
  const found: Violation[] = [];
  const says = (text: string, time: number): void =>
    void found.push({ invariant: 'L2', says: text, session, at: time });
  const refused = refusedIn(records);
  const messages = inbox.filter(({ cancels, seq }) => cancels === undefined && !refused.has(seq));
  const threads = new Map(messages.map(({ seq, thread }) => [seq, thread]));
  const decided = new Set<number>();
  let oldest = 0;
  /** Parts of a split batch run one behind the other: together they are the turn that was its route's. */
  let part: RunInWork | undefined;
  for (const line of records) {
    const handled = line.record.messages.filter(({ decision }) => decision === 'handled' || decision === 'dead');
    const batch = handled.map(({ seq }) => seq).filter((seq) => threads.has(seq));
    while (oldest < messages.length && decided.has(messages[oldest]?.seq ?? 0)) oldest++;
    const first = messages[oldest]?.seq;
    const sorted = batch.toSorted((a, b) => a - b);
    const [least] = sorted;
    const isPart = part?.seqs.includes(least ?? 0) === true;
    part = line.record.run?.rest === undefined ? undefined : line.record.run;
    if (line.record.kind === 'turn' && least !== undefined && first !== least && !isPart) {
      says(`${at(line)} begins with message ${least}, and ${first} was older and waited`, line.at);
    }
    const thread = threads.get(least ?? 0);
    if (batch.some((seq) => threads.get(seq) !== thread)) says(`${at(line)} mixes routes`, line.at);
    const last = sorted.at(-1) ?? 0;
    for (const { seq } of line.record.messages) decided.add(seq);
    const passed = passedOver(
      messages,
      oldest,
      last,
      ({ seq, thread: other }) => other === thread && !decided.has(seq),
    );
    if (passed !== undefined) says(`${at(line)} handles ${last} while ${passed.seq} of the same route waits`, line.at);
    if (!isAscending(batch)) says(`${at(line)} handles ${batch.join(', ')} in this order`, line.at);
  }
  for (const { n, messages: batch, startedAt } of calls) {
    const seqs = batch.map(({ seq }) => seq);
    if (!isAscending(seqs)) says(`call ${n} of ${session} has messages ${seqs.join(', ')} in this order`, startedAt);
  }
  return found;
}

/** What does not get its task waits for no turn. */
function refusedIn(records: SessionHistory['records']): ReadonlySet<number> {
  const messages = records.flatMap(({ record }) => record.messages);
  return new Set(messages.filter(({ decision }) => decision === 'refused').map(({ seq }) => seq));
}

/** The first of those from an index on that are older than `last`. */
function passedOver(
  messages: readonly InboxLine[],
  from: number,
  last: number,
  isPassed: (message: InboxLine) => boolean,
): InboxLine | undefined {
  for (let i = from; i < messages.length; i++) {
    const message = messages[i];
    if (message === undefined || message.seq >= last) return undefined;
    if (isPassed(message)) return message;
  }
  return undefined;
}

function isAscending(seqs: readonly number[]): boolean {
  return seqs.every((seq, i) => i === 0 || seq > (seqs[i - 1] ?? 0));
}
