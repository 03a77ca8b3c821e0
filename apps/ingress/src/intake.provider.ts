import { Injectable } from '@nestjs/common';
import type { InboxMessage, Names, SessionAnswer, SessionTokens } from '#contracts';
import type { TraceContext } from '#telemetry';
import type { DeduplicatedInbox } from './deduplicated-inbox.client.js';
import { notFound, type ProblemException } from './problem.exception.js';
import type { SessionPath } from './request-fields.js';
import type { SessionHistory, StoredRecord } from './session-history.client.js';
import type { SessionQuestions } from './session-questions.client.js';
import { SessionKeys } from './session-keys.js';
import type { TurnWaiter } from './turn-waiter.client.js';

export interface SendAnswer {
  readonly messageId: string;
  readonly seq: number;
  readonly duplicate: boolean;
  /** From here on only when the turn was waited for and has ended. */
  readonly runId?: string;
  readonly status?: string;
  readonly decision?: string;
  readonly reason?: string;
  readonly error?: { readonly name: string; readonly message: string };
  readonly replies?: readonly { readonly text?: string | undefined; readonly data?: unknown }[];
}

export interface IntakeParts {
  readonly names: Names;
  readonly agents: readonly string[];
  readonly inbox: DeduplicatedInbox;
  readonly history: SessionHistory;
  readonly questions: SessionQuestions;
  readonly waiter: TurnWaiter;
}

/** What the routes do, behind their HTTP. */
@Injectable()
export class IntakeService {
  private readonly keys: SessionKeys;

  constructor(private readonly parts: IntakeParts) {
    this.keys = new SessionKeys(parts.names, parts.agents);
  }

  async send(
    path: SessionPath,
    message: InboxMessage,
    trace: TraceContext | undefined,
    waitMs: number | undefined,
    gone: AbortSignal,
  ): Promise<SendAnswer> {
    const key = this.keys.of(path);
    const { inbox, waiter } = this.parts;
    if (waitMs === undefined) {
      return { messageId: message.id, ...(await inbox.store(key, message, trace)) };
    }
    const watch = waiter.watch(key);
    try {
      const stored = await inbox.store(key, message, trace);
      const answer = { messageId: message.id, ...stored };
      const decided = await watch.decided(stored.seq, waitMs, gone);
      return decided === undefined ? answer : { ...answer, ...describeDecision(decided, stored.seq) };
    } finally {
      watch.close();
    }
  }

  async messageStatus(path: SessionPath, messageId: string): Promise<object> {
    const key = this.keys.of(path);
    const before: number[] = [];
    for await (const { id, seq, isControl } of this.parts.history.undecided(key)) {
      // An order waits for no message: it has no place among them.
      if (id === messageId && isControl) return { messageId, seq, disposition: 'queued' };
      if (id === messageId) return { messageId, ...(await this.pendingStatus(key, seq, before)) };
      if (!isControl) before.push(seq);
    }
    const decided = await this.parts.history.decisionOf(key, { id: messageId });
    const message = decided?.record.messages.find(({ id }) => id === messageId);
    if (decided === undefined || message === undefined) {
      throw unknownMessage();
    }
    const { record } = decided;
    return {
      messageId,
      seq: message.seq,
      disposition: 'decided',
      decision: message.decision,
      ...(message.reason === undefined ? {} : { reason: message.reason }),
      ...(record.kind === 'turn' ? { runId: record.runId } : {}),
    };
  }

  async session(path: SessionPath): Promise<object> {
    const key = this.keys.of(path);
    const { history, questions } = this.parts;
    const [answer, lastTurn] = await Promise.all([questions.ask(key), history.lastTurn(key)]);
    const inRun = new Set(answer?.running?.seqs);
    let depth = 0;
    let oldestMs: number | null = null;
    for await (const { seq, storedAtMs } of history.pending(key)) {
      if (inRun.has(seq)) continue;
      depth++;
      oldestMs ??= Math.max(0, Date.now() - storedAtMs);
    }
    return {
      agent: path.agent,
      session: path.session,
      state: stateOf(answer, depth),
      depth,
      oldestMs,
      ...(answer?.running === undefined ? {} : { running: answer.running }),
      ...(answer?.retry === undefined ? {} : { retry: answer.retry }),
      ...(lastTurn === undefined
        ? {}
        : { lastTurn: { runId: lastTurn.runId, status: lastTurn.status, endedAt: lastTurn.endedAt } }),
      ...(answer === undefined ? {} : { worker: answer.worker }),
      tasks: [],
      locks: [],
    };
  }

  async turns(path: SessionPath, limit: number): Promise<object> {
    const records = await this.parts.history.records(this.keys.of(path), limit);
    return { turns: records.map(({ record, recordSeq }) => ({ recordSeq, ...record })) };
  }

  /** `before`: the undecided sequences before it. */
  private async pendingStatus(key: SessionTokens, seq: number, before: readonly number[]): Promise<object> {
    const answer = await this.parts.questions.ask(key);
    const inRun = new Set(answer?.running?.seqs);
    if (inRun.has(seq)) return { seq, disposition: 'running', runId: answer?.running?.runId };
    const { retry } = answer ?? {};
    if (retry?.seqs.includes(seq))
      return { seq, disposition: 'waiting', runId: retry.runId, notBefore: retry.notBefore };
    return { seq, disposition: 'queued', position: before.filter((other) => !inRun.has(other)).length + 1 };
  }
}

export function unknownMessage(): ProblemException {
  return notFound('message', 'messageId: no message with this id is stored for this session; ids are per session');
}

/** Whether something runs or waits for a retry only a worker knows; what merely waits is seen in the streams. */
function stateOf(answer: SessionAnswer | undefined, depth: number): SessionAnswer['state'] {
  switch (answer?.state) {
    case 'running':
    case 'held':
    case 'retrying':
      return answer.state;
    default:
      return depth > 0 ? 'queued' : 'idle';
  }
}

function describeDecision({ record }: StoredRecord, seq: number): Partial<SendAnswer> {
  const message = record.messages.find((candidate) => candidate.seq === seq);
  const told = {
    ...(message === undefined ? {} : { decision: message.decision }),
    ...(message?.reason === undefined ? {} : { reason: message.reason }),
  };
  if (record.kind === 'note') return { ...told, status: message?.decision ?? 'rejected', replies: [] };
  return {
    ...told,
    runId: record.runId,
    status: record.status,
    ...(record.error === undefined ? {} : { error: record.error }),
    replies: record.sends.map(({ text, data }) => ({
      ...(text === undefined ? {} : { text }),
      ...(data === undefined ? {} : { data }),
    })),
  };
}
