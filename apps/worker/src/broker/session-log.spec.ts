import { expect, it } from 'vitest';
import { Names, type LaneEvent } from '#contracts';
import type { Logger } from '#telemetry';
import { ManualClock } from '#testing';
import { SessionLog, withoutCause } from './session-log.js';

type Line = readonly [level: string, message: string, fields: Record<string, unknown>];

const key = new Names('lk', 64).sessionTokens('main', 'chat:1');
const cause = { name: 'agent_refused', message: 'SECRET message', status: 400, excerpt: 'SECRET excerpt' };
const turn = { runId: 'r', attempt: 2, queueDepth: 0, messages: [{ id: 'm', seq: 1, decision: 'dead' as const }] };
const dead: LaneEvent = { type: 'turn-ended', status: 'failed', error: cause.name, cause, ...turn };
const again: LaneEvent = { type: 'turn-retrying', runId: 'r', attempt: 3, notBefore: 0, cause };
const decided = (
  type: 'message-dropped' | 'message-expired' | 'message-rejected' | 'message-cancelled',
): LaneEvent => ({
  ...{ type, messageId: 'm', seq: 1, reason: 'why', queueDepth: 0 },
});

function linesOf(events: readonly LaneEvent[], hasContents = false): Line[] {
  const lines: Line[] = [];
  const at = (level: string) => (fields: object, message: string) => void lines.push([level, message, { ...fields }]);
  const log: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log };
  const sessionLog = new SessionLog({ log, clock: new ManualClock(), hasContents });
  for (const event of events) sessionLog.tell(key, event);
  sessionLog.flush();
  return lines;
}

const where = { agent: 'main', session: 'chat:1' };

it('warns of bad ends, with cause, agent and session', () => {
  const said = { error: 'agent_refused', agentStatus: 400 };
  expect(linesOf([dead, again, decided('message-rejected')])).toEqual([
    ['warn', 'turn ended dead', { ...where, runId: 'r', attempt: 2, status: 'failed', messageIds: ['m'], ...said }],
    [
      'warn',
      'turn failed and runs again',
      { ...where, runId: 'r', nextAttempt: 3, nextAt: '1970-01-01T00:00:00.000Z', ...said },
    ],
    ['warn', 'message rejected', { ...where, messageId: 'm', seq: 1, reason: 'why' }],
  ]);
});

it('warns of a message that its agent failed, although its turn succeeded', () => {
  const one: LaneEvent = { ...turn, type: 'turn-ended', status: 'succeeded', failed: [{ seq: 1, error: cause }] };
  const said = { error: 'agent_refused', agentStatus: 400 };
  expect(linesOf([one]).filter(([level]) => level === 'warn')).toEqual([
    ['warn', 'message ended dead', { ...where, runId: 'r', messageId: 'm', seq: 1, ...said }],
  ]);
  expect(linesOf([one], true)[0]?.[2]).toMatchObject({ said: cause.message });
});

it('logs dropped and expired messages at info', () => {
  const levels = linesOf([decided('message-dropped'), decided('message-expired'), decided('message-cancelled')]);
  expect(levels.map(([level, message]) => [level, message])).toEqual([
    ['info', 'message dropped'],
    ['info', 'message expired'],
    ['debug', 'message-cancelled'],
  ]);
});

it('shows texts of handlers and agents only where the settings allow it, at no level otherwise', () => {
  const succeeded: LaneEvent = { type: 'turn-ended', status: 'cancelled', cause, ...turn };
  const handedOver: LaneEvent = { type: 'turn-retrying', runId: 'r', attempt: 3, cause };
  const all = [dead, again, succeeded, handedOver];
  const named: LaneEvent = { ...turn, type: 'turn-ended', status: 'succeeded', failed: [{ seq: 1, error: cause }] };
  expect(JSON.stringify([linesOf([...all, named]), withoutCause(named)])).not.toContain('SECRET');
  expect(linesOf([dead], true)[0]?.[2]).toMatchObject({ said: cause.message, excerpt: cause.excerpt });
});
