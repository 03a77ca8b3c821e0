import { isIdFree } from '#contracts';
import type { History, InboxLine, Violation } from '../history.js';
import { at, type SessionHistory } from '../session-history.js';

/** L1: each message is decided by exactly one record, and the cursor says so. L3: nothing stays undecided. */
export function checkDecidedOnce({ session, inbox, records }: SessionHistory): Violation[] {
  const found: Violation[] = [];
  const says = (invariant: Violation['invariant'], text: string, time: number): void =>
    void found.push({ invariant, says: text, session, at: time });
  const lines = new Map(inbox.map((line) => [line.seq, line]));
  const decidedBy = new Map<number, number>();
  for (const line of records) {
    for (const { id, seq, decision } of line.record.messages) {
      const earlier = decidedBy.get(seq);
      if (earlier !== undefined)
        says('L1', `${id} (${seq}) is decided by record ${earlier} and again by ${at(line)}`, line.at);
      decidedBy.set(seq, line.seq);
      const stored = lines.get(seq);
      if (stored?.id !== id)
        says('L1', `${at(line)} decides ${id} (${seq}), but the inbox has ${stored?.id} there`, line.at);
      else if (decision === 'cancelled' && !isAskedFor(stored, inbox)) {
        says('L1', `${at(line)} cancels ${id} (${seq}), and no order asks for it`, line.at);
      }
    }
    const wrong = cursorFault(line.record, decidedBy, inbox);
    if (wrong !== undefined) says('L1', `the cursor of ${at(line)} ${wrong}`, line.at);
  }
  for (const { id, seq, at: time } of inbox) {
    if (!decidedBy.has(seq)) says('L3', `${id} (${seq}) of ${session} is in the inbox and was never decided`, time);
  }
  return found;
}

/** L3: what was accepted is there. L1: an id is one message, unless it ended dead or without a turn, and was sent again. */
export function checkAccepted({
  accepted,
  inbox,
  records,
}: Pick<History, 'accepted' | 'inbox' | 'records'>): Violation[] {
  const found: Violation[] = [];
  const stored = new Map(inbox.map((line) => [line.seq, line]));
  for (const { session, id, seq, at: time } of accepted) {
    const line = stored.get(seq);
    if (line?.id === id && line.session === session) continue;
    const says = `${id} of ${session} was accepted as ${seq}, where the inbox has ${line?.id}`;
    found.push({ invariant: 'L3', says, session, at: time });
  }
  const freed = new Map<number, number>();
  for (const { at: time, record } of records) {
    for (const message of record.messages) if (isIdFree(record, message)) freed.set(message.seq, time);
  }
  for (const lines of Map.groupBy(inbox, ({ session, id }) => `${id} of ${session}`).values()) {
    lines.slice(1).forEach((line, i) => {
      const former = lines[i] as InboxLine;
      // It is buried a moment before the record stands that says so.
      if ((freed.get(former.seq) ?? Number.POSITIVE_INFINITY) - BURIED_BEFORE_MS <= line.at) return;
      const says = `${line.id} of ${line.session} was stored as ${former.seq} and as ${line.seq}, and its id was not free again`;
      found.push({ invariant: 'L1', says, session: line.session, at: line.at });
    });
  }
  return found;
}

const BURIED_BEFORE_MS = 10_000;

/** `upto` and `done` have to cover what is decided, and nothing else. */
function cursorFault(
  { upto, done }: { readonly upto: number; readonly done: readonly (readonly [number, number])[] },
  decided: ReadonlyMap<number, number>,
  inbox: readonly InboxLine[],
): string | undefined {
  const high = done.at(-1)?.[1] ?? upto;
  let range = 0;
  let covered = 0;
  for (const { seq } of inbox) {
    if (seq > high) break;
    while (range < done.length && (done[range]?.[1] ?? 0) < seq) range++;
    const isCovered = seq <= upto || (range < done.length && (done[range]?.[0] ?? 0) <= seq);
    if (isCovered && !decided.has(seq)) return `covers ${seq}, which nothing has decided`;
    if (isCovered) covered++;
  }
  return covered === decided.size ? undefined : `covers ${covered} messages, and ${decided.size} are decided`;
}

function isAskedFor(message: InboxLine, inbox: readonly InboxLine[]): boolean {
  return inbox.some(({ cancels, seq }) => {
    if (cancels === undefined || seq <= message.seq) return false;
    return cancels.what === 'message' ? cancels.seq === message.seq : cancels.what === 'session';
  });
}
