import {
  describeThrown,
  makeJson,
  MAX_NOTE_STATE_BYTES,
  MAX_RECORD_BYTES,
  MAX_STATE_BYTES,
  withMember,
  writeJsonObject,
  type Head,
  type JsonFault,
  type JsonText,
  type MessageDecision,
  type NoteRecord,
  type NoteReply,
  type RunInWork,
  type SessionRecord,
  type TurnRecord,
  type LoadedHead,
} from '#contracts';
import type { InboxItem } from '../backlog/inbox-item.js';
import { decisionAfterSuccess, type Batch } from '../turn-rules/batch.js';
import { cursorAfter, runsInRecord } from '../lane/next-cursor.js';
import type { Lane, LaneRun } from '../lane/lane.js';
import type { Ending, FailedMessage, TurnError } from '../turn-rules/settlement.js';
import { leftOf, nextPart } from '../turn-rules/split-batch.js';

/** A record ready to be sent, and the head that the lane has when it is stored. */
export interface RecordDraft {
  readonly body: string;
  readonly commitId: string;
  readonly record: SessionRecord;
  /** The runs whose next attempt it makes known: that of the run it is about, and others that were cut. */
  readonly again: readonly RunInWork[];
  /** It splits the batch of this run. */
  readonly split?: SplitRun;
  /** It is about a run beside others. */
  readonly isConcurrent?: boolean;
  /** Messages of a turn that ended well which are dead all the same. */
  readonly failed?: readonly FailedMessage[];
  /** The lane's head once the record stands at `seq`. */
  loadedAt(seq: number): LoadedHead;
}

export interface Signature {
  readonly worker: string;
  readonly commitId: string;
}

/** What a note says: decisions, or what comes of a run. */
export type NoteContent =
  | { readonly messages: readonly MessageDecision[]; readonly sends: readonly NoteReply[] }
  | { readonly run: LaneRun; readonly next: RunInWork; readonly split?: SplitRun };

/** A run whose batch was split. */
export interface SplitRun {
  readonly runId: string;
  readonly error: string;
}

/** A note: decisions and the runs in work, nothing else changes. */
export function draftNote(lane: Lane, signature: Signature, content: NoteContent): RecordDraft {
  const { messages, sends } = 'run' in content ? { messages: [], sends: [] } : content;
  const about = 'run' in content ? content : undefined;
  const head = headAfter(lane, messages, signature, about);
  const { state, ...withoutState } = head;
  const stateBytes = state?.bytes ?? 0;
  const refersToState = stateBytes > MAX_NOTE_STATE_BYTES;
  const record: NoteRecord = {
    v: 1,
    kind: 'note',
    ...signature,
    ...withoutState,
    ...(refersToState ? { stateSeq: lane.stateSeq } : {}),
    messages: [...messages],
    ...(sends.length === 0 ? {} : { sends: [...sends] }),
  };
  const { stateSeq } = lane;
  const body = bodyOf(record, refersToState ? undefined : state);
  if (state !== undefined && !refersToState) record.state = state;
  return {
    body,
    commitId: signature.commitId,
    record,
    again: [...(about === undefined || about.split !== undefined ? [] : [about.next]), ...cutBeside(lane, about?.run)],
    ...(about?.split === undefined ? {} : { split: about.split }),
    ...(about === undefined ? {} : { isConcurrent: about.run.isConcurrent }),
    loadedAt: (seq) => {
      const kept = refersToState ? stateSeq : state === undefined ? 0 : seq;
      return { head, seq, stateSeq: kept, bytes: stateBytes };
    },
  };
}

export interface TurnTimes {
  readonly startedAt: number;
  readonly endedAt: number;
}

export type TurnDraft =
  | { readonly ok: true; readonly draft: RecordDraft }
  /** The turn asked for more than a record holds: it fails, and the former state stays. */
  | { readonly ok: false; readonly error: TurnError };

/** The record that ends a turn: cursor, effects, state and audit in one write. */
export function draftTurn(
  run: LaneRun,
  batch: Batch,
  ending: Ending,
  times: TurnTimes,
  signature: Signature,
): TurnDraft {
  const { lane } = run;
  const after = stateAfter(lane.head, ending);
  if (!after.ok) return after;
  const { state: nextState } = after;
  const stateBytes = nextState?.bytes ?? 0;
  if (stateBytes > MAX_STATE_BYTES) {
    return tooLarge('state_too_large', `the state has ${stateBytes} bytes, at most ${MAX_STATE_BYTES} are kept`);
  }
  const { status, sends, error, decision, reason, only, failed } = ending;
  const items = only === undefined ? batch.items : batch.items.filter(({ seq }) => only.includes(seq));
  const head = headAfterTurn(run, items, ending, nextState, signature);
  const failures = failed === undefined ? undefined : new Map(failed.map((each) => [each.seq, each.error]));
  const messages = items.map((item) => {
    const { id, seq } = item;
    const failure = failures?.get(seq);
    const decided: MessageDecision = {
      id,
      seq,
      decision: decision === 'handled' ? decisionAfterSuccess(batch, item) : decision,
    };
    if (failure !== undefined) return { ...decided, decision: 'dead' as const, reason: failure.name };
    // Its sender is to know that what came behind it was handled before.
    const why = reason ?? (item.isLate === true ? 'late-sequence' : undefined);
    return why === undefined ? decided : { ...decided, reason: why };
  });
  // Field by field: every turn makes one, and spreads in the middle of a literal take longer than all the rest.
  const { upto, done, nextSequence, children, relayed, run: next, state, runs, holder, wentOn } = head;
  const record: TurnRecord = {
    v: 1,
    kind: 'turn',
    worker: signature.worker,
    commitId: signature.commitId,
    upto,
    done,
    nextSequence,
    children,
    relayed,
    run: next,
    messages,
    runId: batch.runId,
    attempt: batch.attempt,
    status,
    sends: [...sends],
    startedAt: times.startedAt,
    endedAt: times.endedAt,
  };
  if (runs !== undefined) record.runs = runs;
  if (holder !== undefined) record.holder = holder;
  if (wentOn !== undefined) record.wentOn = wentOn;
  if (error !== undefined) record.error = error;
  const body = bodyOf(record, state);
  if (state !== undefined) record.state = state;
  const bytes = Buffer.byteLength(body);
  if (bytes > MAX_RECORD_BYTES) {
    return tooLarge('record_too_large', `the turn's record has ${bytes} bytes, at most ${MAX_RECORD_BYTES} are kept`);
  }
  const loadedAt = (seq: number): LoadedHead => ({
    head,
    seq,
    stateSeq: head.state === undefined ? 0 : seq,
    bytes: ending.state === undefined ? lane.headBytes : stateBytes,
  });
  const { isConcurrent } = run;
  const draft: RecordDraft = {
    body,
    commitId: signature.commitId,
    record,
    isConcurrent,
    again: cutBeside(lane, run),
    loadedAt,
  };
  return { ok: true, draft: failed === undefined || status !== 'succeeded' ? draft : { ...draft, failed } };
}

function stateAfter(
  { state }: Head,
  { state: change }: Ending,
): { readonly ok: true; readonly state?: JsonText } | { readonly ok: false; readonly error: TurnError } {
  if (change === undefined) return { ok: true };
  try {
    const value = 'merge' in change ? change.merge(state?.value) : change.value;
    if (value === undefined) return { ok: true };
    const made = makeJson(value);
    return made.ok ? { ok: true, state: made.json } : { ok: false, error: stateNotJson(made.fault) };
  } catch (error) {
    return { ok: false, error: describeThrown(error) };
  }
}

function stateNotJson({ field, found, wanted }: JsonFault): TurnError {
  const place = field === '' ? 'the state' : `the state's ${field}`;
  return { name: 'state_not_json', message: `${place}: found ${found}, wanted ${wanted}` };
}

function headAfterTurn(
  run: LaneRun,
  items: readonly InboxItem[],
  ending: Ending,
  nextState: JsonText | undefined,
  signature: Signature,
): Head {
  const head = headAfter(run.lane, items, signature, { run });
  if (ending.state === undefined) return head;
  const { state: _former, ...rest } = head;
  return { ...rest, ...(nextState === undefined ? {} : { state: nextState }) };
}

/** Runs that were cut, when this is the first record that says so. */
function cutBeside(lane: Lane, about: LaneRun | undefined): RunInWork[] {
  if (!lane.hasConcurrentRuns) return [];
  return lane.concurrent.unrecorded.flatMap((run) => (run === about ? [] : (run.next ?? [])));
}

type FieldOfHead =
  | 'upto'
  | 'done'
  | 'nextSequence'
  | 'wentOn'
  | 'run'
  | 'runs'
  | 'holder'
  | 'children'
  | 'relayed'
  | 'state'
  | 'stateSeq';
/** A field more in `Head` does not compile before it has its place in `headAfter` too. */
type KnownHead = Exclude<keyof Head, FieldOfHead> extends never ? Head : never;

/** The head after these messages are decided too, and after what comes of a run. */
function headAfter(
  lane: Lane,
  decided: readonly { readonly seq: number }[],
  { worker }: Signature,
  about?: { readonly run: LaneRun; readonly next?: RunInWork },
): Head {
  const { children, relayed, state }: KnownHead = lane.head;
  const { upto, done, nextSequence } = cursorAfter(
    lane,
    decided.map(({ seq }) => seq),
  );
  const next = about?.next ?? partBehind(lane, about?.run.batch, { upto, done });
  const { run, runs = [] } = runsInRecord(lane, about?.run, next);
  // A run that has lost a message never comes again (L7): left in the head, it would stand there for ever.
  const left = runs.flatMap((each) => leftOf(lane.key, each, { upto, done }) ?? []);
  // The owner of the shard waits for the others too.
  const isInHandoff =
    lane.home.state === 'closed' && lane.running.some((other) => other !== about?.run && other.isWhole);
  const head: Head = { upto, done, nextSequence, children, relayed, run: null };
  if (run !== null) head.run = leftOf(lane.key, run, { upto, done }) ?? null;
  if (state !== undefined) head.state = state;
  if (left.length > 0) head.runs = left;
  if (isInHandoff) head.holder = worker;
  const { wentOn } = lane.backlog;
  if (wentOn !== undefined && nextSequence !== null && wentOn.to > nextSequence) head.wentOn = wentOn;
  return head;
}

/** What comes behind a part of a split batch when that ends; a part of which something is left comes first. */
function partBehind(lane: Lane, batch: Batch | undefined, cursor: Pick<Head, 'upto' | 'done'>): RunInWork | undefined {
  if (batch?.rest === undefined) return undefined;
  return nextPart(lane.key, [batch.items.map(({ seq }) => seq), ...batch.rest], cursor);
}

function tooLarge(name: string, message: string): TurnDraft {
  return { ok: false, error: { name, message: `${message}: send less, or keep it elsewhere and refer to it` } };
}

/** Of a record that has no state yet: it comes last, as it is longest, and is found there at once. */
function bodyOf(record: SessionRecord, state: JsonText | undefined): string {
  const body = writeJsonObject(record);
  return state === undefined ? body : withMember(body, 'state', state);
}
