import { Injectable } from '@nestjs/common';
import {
  sessionTaskScope,
  type ChannelMessageBody,
  type InboxMessage,
  type Names,
  type SessionAnswer,
  type SessionTurns,
  type SessionView,
} from '#contracts';
import { notFound, type ProblemException } from '#http';
import { readDecision } from './decided-message.js';
import type { DeduplicatedInbox } from '../inbox/deduplicated-inbox.client.js';
import type { Stored } from '../inbox/inbox.publisher.js';
import { decidedStatus, pendingStatus, runningSeqs, type MessageStatus } from './message-status.js';
import type { SessionPath } from '../session-route-fields.js';
import { describeDecision, type SendAnswer } from './send-answer.js';
import type { SendCall } from './send-call.js';
import { SessionChooser } from '../sessions/session-chooser.provider.js';
import type { SessionHistory } from '../sessions/session-history.client.js';
import type { SessionQuestions } from '../sessions/session-questions.client.js';
import { SessionKeys } from '../sessions/session-keys.js';
import type { SessionTasks } from '../sessions/session-tasks.js';
import type { TurnWaiter } from './turn-waiter.client.js';

export interface IntakeParts {
  readonly names: Names;
  readonly agents: readonly string[];
  readonly inbox: Pick<DeduplicatedInbox, 'store'>;
  readonly history: SessionHistory;
  readonly questions: SessionQuestions;
  readonly waiter: TurnWaiter;
  readonly tasks: Pick<SessionTasks, 'of'>;
}

/** The service behind the routes for messages and sessions. */
@Injectable()
export class IntakeService {
  private readonly keys: SessionKeys;

  constructor(
    private readonly parts: IntakeParts,
    private readonly chooser: SessionChooser,
  ) {
    this.keys = new SessionKeys(parts.names, parts.agents, parts.history);
  }

  async send(path: SessionPath, call: SendCall): Promise<SendAnswer> {
    const key = this.keys.of(path);
    const { message, trace, waitMs, gone, isAllAsked } = call;
    const { inbox, waiter } = this.parts;
    if (waitMs === undefined) return tell(call, await inbox.store(key, message, trace));
    const watch = waiter.watch(key);
    try {
      const stored = await inbox.store(key, message, trace);
      const { seq } = stored;
      const decided = await watch.decided(seq, waitMs, gone);
      if (decided === undefined) return tell(call, stored);
      return { ...tell(call, stored), ...describeDecision(readDecision(decided, { seq }), isAllAsked) };
    } finally {
      watch.close();
    }
  }

  async sendToChannel(
    agent: string,
    call: SendCall<InboxMessage & Pick<ChannelMessageBody, 'channel'>>,
  ): Promise<SendAnswer> {
    this.keys.expectAgent(agent);
    const session = await this.chooser.sessionOf(agent, call.message);
    return { session, ...(await this.send({ agent, session }, call)) };
  }

  async messageStatus(
    path: SessionPath,
    messageId: string,
    isAllAsked = false,
  ): Promise<{ messageId: string } & MessageStatus> {
    const key = await this.keys.ofStored(path);
    const { history, questions } = this.parts;
    const before: number[] = [];
    for await (const { id, seq, isControl } of history.undecided(key)) {
      // An order does not wait for messages: it has no position among them.
      if (id === messageId && isControl) return { messageId, seq, disposition: 'queued' };
      if (id === messageId) {
        const answer = await questions.ask(key);
        // Its turn may have ended during the question. The worker no longer knows it then, and it does not wait again.
        const [decided, recorded] = await Promise.all([history.decisionOf(key, { seq }), history.runInWork(key, seq)]);
        return {
          messageId,
          ...(decided === undefined
            ? pendingStatus(seq, before, answer, recorded)
            : decidedStatus(readDecision(decided, { seq }), isAllAsked)),
        };
      }
      if (!isControl) before.push(seq);
    }
    const decided = await history.decisionOf(key, { id: messageId });
    if (decided === undefined) throw unknownMessage();
    return { messageId, ...decidedStatus(readDecision(decided, { id: messageId }), isAllAsked) };
  }

  async session(path: SessionPath): Promise<SessionView> {
    const key = await this.keys.ofStored(path);
    const { history, questions } = this.parts;
    const [answer, lastTurn] = await Promise.all([questions.ask(key), history.lastTurn(key)]);
    const tasks = await this.parts.tasks.of(sessionTaskScope(path.agent, path.session), answer?.tasks);
    const inRun = runningSeqs(answer);
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
      state: stateOf(answer, depth, inRun.size > 0),
      depth,
      oldestMs,
      ...(answer?.running === undefined ? {} : { running: answer.running }),
      ...(answer?.retry === undefined ? {} : { retry: answer.retry }),
      ...(answer?.concurrent === undefined ? {} : { concurrent: answer.concurrent }),
      ...(answer?.window === undefined ? {} : { window: answer.window }),
      ...(answer?.early === undefined ? {} : { early: answer.early }),
      ...(lastTurn === undefined
        ? {}
        : { lastTurn: { runId: lastTurn.runId, status: lastTurn.status, endedAt: lastTurn.endedAt } }),
      ...(answer === undefined ? {} : { worker: answer.worker }),
      tasks,
      locks: [],
    };
  }

  async turns(path: SessionPath, limit: number): Promise<SessionTurns> {
    const records = await this.parts.history.records(await this.keys.ofStored(path), limit);
    return { turns: records.map(({ record, recordSeq }) => ({ recordSeq, ...record })) };
  }
}

export function unknownMessage(): ProblemException {
  return notFound('message', 'messageId: no message with this id is stored for this session; ids are per session');
}

/** Only a worker knows whether something runs or waits for a retry; messages that wait are seen in the streams. */
function stateOf(answer: SessionAnswer | undefined, depth: number, isRunning: boolean): SessionAnswer['state'] {
  switch (answer?.state) {
    case 'running':
    case 'held':
      return answer.state;
    case 'retrying':
      return isRunning ? 'running' : 'retrying';
    default:
      if (isRunning) return 'running';
      if (answer?.state === 'waiting-for-agent' && depth > 0) return answer.state;
      return depth > 0 ? 'queued' : 'idle';
  }
}

function tell({ message, isIdMade }: SendCall, { seq, duplicate }: Stored): SendAnswer {
  return { messageId: message.id, seq, duplicate: duplicate && !isIdMade };
}
