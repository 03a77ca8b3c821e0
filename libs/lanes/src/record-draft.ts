import {
  MAX_NOTE_STATE_BYTES,
  MAX_RECORD_BYTES,
  MAX_STATE_BYTES,
  type Head,
  type MessageDecision,
  type NoteRecord,
  type NoteReply,
  type RunInWork,
  type SessionRecord,
  type TurnRecord,
} from '#contracts';
import { isDecided } from './head.js';
import type { InboxItem } from './inbox-item.js';
import { decisionAfterSuccess, type Batch } from './batch.js';
import type { Lane, LoadedHead } from './lane.js';
import type { Ending, TurnError } from './settlement.js';

/** A record ready to be sent, and the head that the lane has when it is stored. */
export interface RecordDraft {
  readonly body: string;
  readonly commitId: string;
  readonly record: SessionRecord;
  /** The lane's head once the record stands at `seq`. */
  loadedAt(seq: number): LoadedHead;
}

export interface Signature {
  readonly worker: string;
  readonly commitId: string;
}

/** A note: decisions and the run in work, nothing else changes. */
export function draftNote(
  lane: Lane,
  signature: Signature,
  change: {
    readonly messages: readonly MessageDecision[];
    readonly run?: RunInWork | null;
    readonly sends?: readonly NoteReply[];
  },
): RecordDraft {
  const cursor = lane.cursorAfter(change.messages.map(({ seq }) => seq));
  const run = change.run === undefined ? lane.runBesideNote : change.run;
  // A run that has lost a message never comes again (L7): left in the head, it would stand there for ever.
  const isOver = run?.seqs.some((seq) => isDecided(cursor, seq)) === true;
  const head: Head = { ...lane.head, ...cursor, run: isOver ? null : run };
  const refersToState = head.state !== undefined && jsonBytes(head.state) > MAX_NOTE_STATE_BYTES;
  const { state, ...withoutState } = head;
  const record: NoteRecord = {
    v: 1,
    kind: 'note',
    ...signature,
    ...(refersToState ? { ...withoutState, stateSeq: lane.stateSeq } : head),
    messages: [...change.messages],
    ...(change.sends === undefined || change.sends.length === 0 ? {} : { sends: [...change.sends] }),
  };
  const { stateSeq } = lane;
  return {
    body: JSON.stringify(record),
    commitId: signature.commitId,
    record,
    loadedAt: (seq) => {
      const kept = refersToState ? stateSeq : state === undefined ? 0 : seq;
      return { head, seq, stateSeq: kept, bytes: jsonBytes(state) };
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
export function draftTurn(lane: Lane, batch: Batch, ending: Ending, times: TurnTimes, signature: Signature): TurnDraft {
  const value = stateAfter(lane.head, ending);
  const stateText = JSON.stringify(value) as string | undefined;
  if (value !== undefined && stateText === undefined) {
    return {
      ok: false,
      error: { name: 'state_not_json', message: `the state is a ${typeof value}: set what JSON can hold` },
    };
  }
  const stateBytes = stateText === undefined ? 0 : Buffer.byteLength(stateText);
  if (stateBytes > MAX_STATE_BYTES) {
    return tooLarge('state_too_large', `the state has ${stateBytes} bytes, at most ${MAX_STATE_BYTES} are kept`);
  }
  const { status, sends, error, decision, reason, only } = ending;
  const items = only === undefined ? batch.items : batch.items.filter(({ seq }) => only.includes(seq));
  const head = headAfterTurn(lane, items, ending, stateText);
  const messages = items.map((item) => ({
    id: item.id,
    seq: item.seq,
    decision: decision === 'handled' ? decisionAfterSuccess(batch, item) : decision,
    ...(reason === undefined ? {} : { reason }),
  }));
  const record: TurnRecord = {
    v: 1,
    kind: 'turn',
    ...signature,
    ...head,
    messages,
    runId: batch.runId,
    attempt: batch.attempt,
    status,
    sends: [...sends],
    ...(error === undefined ? {} : { error }),
    ...times,
  };
  const body = JSON.stringify(record);
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
  return { ok: true, draft: { body, commitId: signature.commitId, record, loadedAt } };
}

/** Throws what a merge throws. */
function stateAfter({ state }: Head, { state: change }: Ending): unknown {
  if (change === undefined) return undefined;
  return 'merge' in change ? change.merge(structuredClone(state)) : change.value;
}

/** The state that goes on in memory is the one of the record: the agent may still hold and change the value that it set. */
function headAfterTurn(lane: Lane, items: readonly InboxItem[], ending: Ending, stateText: string | undefined): Head {
  const cursor = lane.cursorAfter(items.map(({ seq }) => seq));
  if (ending.state === undefined) return { ...lane.head, ...cursor, run: null };
  const { state: _former, ...rest } = lane.head;
  const value = stateText === undefined ? undefined : (JSON.parse(stateText) as Head['state']);
  return { ...rest, ...cursor, run: null, ...(value === undefined ? {} : { state: value }) };
}

function tooLarge(name: string, message: string): TurnDraft {
  return { ok: false, error: { name, message: `${message}: send less, or keep it elsewhere and refer to it` } };
}

function jsonBytes(value: unknown): number {
  return value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value));
}
