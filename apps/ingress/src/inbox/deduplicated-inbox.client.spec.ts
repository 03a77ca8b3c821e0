import { describe, expect, it } from 'vitest';
import { Names, type ControlMessage, type InboxMessage } from '#contracts';
import type { StreamReader } from '#jetstream';
import { DeduplicatedInbox } from './deduplicated-inbox.client.js';
import type { InboxPublisher, Published } from './inbox.publisher.js';
import type { SessionHistory } from '../sessions/session-history.client.js';

const names = new Names('lk', 64);
const key = names.sessionTokens('main', 's');
const message: InboxMessage = { v: 1, kind: 'message', id: 'm', text: 'x' };

/** `answers`: what the broker says to publishes behind a dead sequence; 0 = the first. */
function inboxOf(
  answers: Record<number, Published>,
  decisions: Record<number, string>,
  stored: object = message,
  isFull = false,
) {
  const asked: number[] = [];
  const publisher = {
    publish: (_key: unknown, _message: unknown, _trace: unknown, afterFormerSeq: number) => {
      asked.push(afterFormerSeq);
      return Promise.resolve(answers[afterFormerSeq]);
    },
  } as unknown as InboxPublisher;
  const history = {
    decisionOf: (_key: unknown, { seq }: { seq: number }) =>
      Promise.resolve(
        decisions[seq] === undefined
          ? undefined
          : { record: { kind: 'note', messages: [{ id: 'm', seq, decision: decisions[seq] }] } },
      ),
  } as unknown as SessionHistory;
  const reader = {
    message: () => Promise.resolve({ data: Buffer.from(JSON.stringify(stored)) }),
  } as unknown as StreamReader;
  const remembered: number[] = [];
  const reusedIds = {
    formerSeqOf: () => Math.max(0, ...remembered),
    expectRoom: () => {
      if (isFull) throw new Error('full');
    },
    remember: (_key: unknown, _id: string, formerSeq: number) => Promise.resolve(void remembered.push(formerSeq)),
  };
  return { inbox: new DeduplicatedInbox(publisher, reader, history, names, reusedIds), asked, remembered };
}

const duplicateOf = (seq: number, wasUnclear = false): Published => ({ seq, duplicate: true, wasUnclear });

describe('a repetition', () => {
  it('of what waits or was handled answers its sequence', async () => {
    for (const decisions of [{}, { 5: 'handled' }] as Record<number, string>[]) {
      const { inbox, asked } = inboxOf({ 0: duplicateOf(5) }, decisions);
      expect(await inbox.store(key, message, undefined)).toEqual({ seq: 5, duplicate: true });
      expect(asked).toEqual([0]);
    }
  });

  it('of what ended dead is stored behind it, also when that ended dead as well', async () => {
    const answers = { 0: duplicateOf(5), 5: duplicateOf(9), 9: { seq: 12, duplicate: false, wasUnclear: false } };
    const { inbox, asked, remembered } = inboxOf(answers, { 5: 'dead', 9: 'dead' });
    expect(await inbox.store(key, message, undefined)).toEqual({ seq: 12, duplicate: false });
    expect(asked).toEqual([0, 5, 9]);
    expect(remembered).toEqual([9]);
  });

  it.each(['dropped', 'expired', 'cancelled', 'refused', 'rejected'])(
    'of what was %s without a turn is stored behind it, and may have another body',
    async (decision) => {
      const answers = { 0: duplicateOf(5), 5: { seq: 9, duplicate: false, wasUnclear: false } };
      const { inbox, asked, remembered } = inboxOf(answers, { 5: decision }, { ...message, text: 'y' });
      expect(await inbox.store(key, message, undefined)).toEqual({ seq: 9, duplicate: false });
      expect([asked, remembered]).toEqual([[0, 5], [5]]);
    },
  );

  it('that is one too many to be remembered is not stored', async () => {
    const { inbox, asked } = inboxOf({ 0: duplicateOf(5) }, { 5: 'dropped' }, message, true);
    await expect(inbox.store(key, message, undefined)).rejects.toThrow('full');
    expect(asked).toEqual([0]);
  });

  it('of what was stored behind a dead one is that one, also when the broker has forgotten the dead one', async () => {
    const answers = { 0: duplicateOf(5), 5: { seq: 9, duplicate: false, wasUnclear: false } };
    const { inbox, asked, remembered } = inboxOf(answers, { 5: 'dead' });
    expect(await inbox.store(key, message, undefined)).toEqual({ seq: 9, duplicate: false });
    Object.assign(answers, { 0: { seq: 12, duplicate: false, wasUnclear: false }, 5: duplicateOf(9) });
    expect(await inbox.store(key, message, undefined)).toEqual({ seq: 9, duplicate: true });
    expect(asked).toEqual([0, 5, 5]);
    expect(remembered).toEqual([5]);
  });

  it('of what was stored behind a dead one, and not written down, is written down before it is answered', async () => {
    const { inbox, remembered } = inboxOf({ 0: duplicateOf(5), 5: duplicateOf(9) }, { 5: 'dead' });
    expect(await inbox.store(key, message, undefined)).toEqual({ seq: 9, duplicate: true });
    expect(remembered).toEqual([5]);
  });

  it('of what ended dead, whose first try was unclear, is told to come again: it may be that very try that is dead', async () => {
    const { inbox, asked } = inboxOf({ 0: duplicateOf(5, true) }, { 5: 'dead' });
    await expect(inbox.store(key, message, undefined)).rejects.toMatchObject({
      problem: { status: 503, code: 'broker-unavailable', extra: { messageId: 'm' } },
    });
    expect(asked).toEqual([0]);
  });

  it('with another body is a mistake, unless the former one ended dead', async () => {
    const other = { ...message, text: 'y' };
    const { inbox } = inboxOf({ 0: duplicateOf(5) }, {}, other);
    await expect(inbox.store(key, message, undefined)).rejects.toMatchObject({ problem: { status: 422 } });
    const dead = inboxOf(
      { 0: duplicateOf(5), 5: { seq: 6, duplicate: false, wasUnclear: false } },
      { 5: 'dead' },
      other,
    );
    expect(await dead.inbox.store(key, message, undefined)).toMatchObject({ seq: 6 });
  });
});

describe('a repetition of a cancel', () => {
  const cancel: ControlMessage = { v: 1, kind: 'control', id: 'cancel:a', op: 'cancel', target: { what: 'session' } };

  it('is the first one, whatever was decided', async () => {
    const { inbox, asked } = inboxOf({ 0: duplicateOf(5) }, { 5: 'handled' }, cancel);
    expect(await inbox.store(key, cancel, undefined)).toEqual({ seq: 5, duplicate: true });
    expect(asked).toEqual([0]);
  });

  it('of something else under its key is a mistake that names the key', async () => {
    const { inbox } = inboxOf({ 0: duplicateOf(5) }, {}, { ...cancel, target: { what: 'message', seq: 3 } });
    await expect(inbox.store(key, cancel, undefined)).rejects.toMatchObject({
      problem: { status: 422, code: 'idempotency-mismatch', detail: expect.stringMatching(/^Idempotency-Key: /) },
    });
  });
});
