import { Injectable } from '@nestjs/common';
import { parseRunId, type CancelTarget, type ControlMessage, type SessionAnswer, type SessionTokens } from '#contracts';
import { notFound, ProblemException } from '#http';
import type { CancelCall } from './cancel-call.js';
import type { Stored } from '../inbox/inbox.publisher.js';
import { unknownMessage, type IntakeParts } from '../send/intake.provider.js';
import type { SessionPath } from '../session-route-fields.js';
import type { StoredRecord } from '../sessions/session-history.client.js';
import { SessionKeys } from '../sessions/session-keys.js';

export interface CancelAnswer {
  /** Id of the cancel itself. The message route tells its status like that of a message. */
  readonly messageId: string;
  readonly seq: number;
  readonly duplicate: boolean;
  /** The messages that it cancelled; present only when the caller waited and the cancel is decided. */
  readonly cancelled?: readonly { readonly id: string; readonly seq: number }[];
}

/**
 * The service behind the cancel routes. A cancel is stored in the session's inbox and decided by its lane: it survives a crash
 * of the worker that owns the session, and it works while no worker does. This class only checks that there is something to
 * cancel.
 */
@Injectable()
export class CancelService {
  private readonly keys: SessionKeys;

  constructor(private readonly parts: IntakeParts) {
    this.keys = new SessionKeys(parts.names, parts.agents, parts.history);
  }

  async cancelSession(path: SessionPath, call: CancelCall): Promise<CancelAnswer> {
    return this.store(await this.keys.ofStored(path), { what: 'session' }, call);
  }

  async cancelMessage(path: SessionPath, messageId: string, call: CancelCall): Promise<CancelAnswer> {
    const key = await this.keys.ofStored(path);
    const found = await this.find(key, messageId);
    if (found === undefined) throw unknownMessage();
    const { seq, decidedBy } = found;
    if (decidedBy !== undefined) await this.expectRepetition(key, call, decidedMessage(decidedBy, seq));
    return this.store(key, { what: 'message', seq }, call);
  }

  async cancelRun(runId: string, call: CancelCall): Promise<CancelAnswer> {
    const run = parseRunId(runId);
    const key = run && (await this.keys.findStored(run));
    if (run === undefined || key === undefined) throw unknownRun();
    // Ask the worker before reading the records: a run that ends in between has its record then.
    const answer = await this.parts.questions.ask(key);
    const end = await this.endOf(key, runId, run.firstSeq);
    if (end !== undefined) await this.expectRepetition(key, call, endedRun(runId, run.firstSeq, end));
    else if (!(await this.mayRun(key, runId, run.firstSeq, answer))) throw unknownRun();
    return this.store(key, { what: 'run', runId }, call);
  }

  private async find(
    key: SessionTokens,
    messageId: string,
  ): Promise<{ seq: number; decidedBy?: StoredRecord } | undefined> {
    const { history } = this.parts;
    for await (const { id, seq } of history.pending(key)) if (id === messageId) return { seq };
    const decidedBy = await history.decisionOf(key, { id: messageId });
    const message = decidedBy?.record.messages.find(({ id }) => id === messageId);
    return decidedBy === undefined || message === undefined ? undefined : { seq: message.seq, decidedBy };
  }

  /** The record that ended a run: no attempt follows it. */
  private async endOf(key: SessionTokens, runId: string, firstSeq: number): Promise<StoredRecord | undefined> {
    const { history } = this.parts;
    const end = await history.endOfRun(key, runId, firstSeq);
    if (end !== undefined) return end;
    const decidedBy = await history.decisionOf(key, { seq: firstSeq });
    // Another run took its messages: this run never existed, or lost some of them before it began.
    if (decidedBy?.record.kind === 'turn') throw unknownRun();
    return decidedBy;
  }

  /** Whether a run without a record may exist. A wrong "no" loses a cancel, so the answer in doubt is yes. */
  private async mayRun(
    key: SessionTokens,
    runId: string,
    firstSeq: number,
    answer: SessionAnswer | undefined,
  ): Promise<boolean> {
    if (answer === undefined) return true;
    const { running, retry, concurrent } = answer;
    const known = [running, retry, ...(concurrent ?? [])].flatMap((run) => run?.runId ?? []);
    if (known.includes(runId)) return true;
    // Turns of this session run one at a time: there is no other run.
    if (known.length > 0 && concurrent === undefined) return false;
    // A worker that has just taken over the session may not know yet which run was cut; the messages of that run wait.
    for await (const { seq } of this.parts.history.pending(key)) if (seq >= firstSeq) return seq === firstSeq;
    return false;
  }

  /**
   * A decided message cannot be cancelled, but a repetition of the cancel that decided it gets the same answer as the first.
   */
  private async expectRepetition(key: SessionTokens, { id, isNamed }: CancelCall, conflict: Error): Promise<void> {
    if (!isNamed) throw conflict;
    const { history } = this.parts;
    for await (const entry of history.undecided(key)) if (entry.id === id) return;
    if ((await history.decisionOf(key, { id })) === undefined) throw conflict;
  }

  private async store(key: SessionTokens, target: CancelTarget, call: CancelCall): Promise<CancelAnswer> {
    const { inbox, history, waiter } = this.parts;
    const order: ControlMessage = { v: 1, kind: 'control', id: call.id, op: 'cancel', target };
    const tell = ({ seq, duplicate }: Stored): CancelAnswer => {
      // No caller knows an id that was made here: it can only be a duplicate of our own unclear first try.
      return { messageId: call.id, seq, duplicate: duplicate && call.isNamed };
    };
    if (call.waitMs === undefined) return tell(await inbox.store(key, order, call.trace));
    const watch = waiter.watch(key);
    try {
      const before = await history.lastRecord(key);
      const stored = await inbox.store(key, order, call.trace);
      const decided = await watch.decided(stored.seq, call.waitMs, call.gone);
      if (decided === undefined) return tell(stored);
      return { ...tell(stored), cancelled: await this.cancelledBy(key, stored, decided, before?.recordSeq ?? 0) };
    } finally {
      watch.close();
    }
  }

  /** What was cancelled between the last record before the cancel and the record that decided it. */
  private async cancelledBy(
    key: SessionTokens,
    { seq, duplicate }: Stored,
    decided: StoredRecord,
    lastBefore: number,
  ): Promise<{ id: string; seq: number }[]> {
    const { history } = this.parts;
    // A repetition has not read the records before the first try. The time at which the first try was stored stands in for
    // that; it is as exact as the clocks of the broker's nodes.
    const firstAtMs = duplicate ? await history.storedAtMs(seq) : undefined;
    const stoodBefore = ({ recordSeq, storedAtMs }: StoredRecord): boolean =>
      firstAtMs === undefined ? recordSeq <= lastBefore : storedAtMs < firstAtMs;
    const cancelled: { id: string; seq: number }[] = [];
    for await (const stored of history.newestFirst(key)) {
      if (stored.recordSeq > decided.recordSeq) continue;
      if (stored.recordSeq < decided.recordSeq && stoodBefore(stored)) break;
      for (const message of stored.record.messages) {
        if (message.decision === 'cancelled' && message.seq < seq) cancelled.push({ id: message.id, seq: message.seq });
      }
    }
    return cancelled.toSorted((a, b) => a.seq - b.seq);
  }
}

function unknownRun(): ProblemException {
  return notFound(
    'run',
    'runId: found no run of this id that runs, waits or has a record; wanted <agent>.<session>.<first seq>.<hash>, as the ' +
      'session, its turns and its messages tell it',
  );
}

function decidedMessage({ record }: StoredRecord, seq: number): ProblemException {
  const { decision, reason } = record.messages.find((candidate) => candidate.seq === seq) ?? {};
  const { runId } = record.kind === 'turn' ? record : {};
  const where = runId === undefined ? '' : ` in run ${runId}`;
  return alreadyDecided(`messageId: found a message that is ${decision}${where}, wanted one that waits or runs`, {
    seq,
    decision,
    ...(reason === undefined ? {} : { reason }),
    ...(runId === undefined ? {} : { runId }),
  });
}

function endedRun(runId: string, firstSeq: number, { record }: StoredRecord): ProblemException {
  // The record of a cancelled turn may decide only some of its messages; the others run again, as another run.
  const { decision } = record.messages.find(({ seq }) => seq === firstSeq) ?? record.messages[0] ?? {};
  // A note ends a run that waits for its next attempt.
  const status = record.kind === 'turn' ? record.status : decision;
  const detail = `runId: found a run that is over (${status}), wanted one that runs or waits for its next attempt`;
  return alreadyDecided(detail, { runId, decision });
}

function alreadyDecided(detail: string, extra: Record<string, unknown>): ProblemException {
  return new ProblemException({
    status: 409,
    code: 'already-decided',
    title: 'There is nothing left to cancel',
    detail,
    extra,
  });
}
