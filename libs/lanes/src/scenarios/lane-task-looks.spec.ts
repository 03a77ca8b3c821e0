import { describe, expect, it } from 'vitest';
import { cancelOrder, type ProcessOptions } from './lane-process.fixture.js';
import { settled } from './lane-runner.fixture.js';
import { LookingTurns, REFUSAL, setUpTasks } from './lane-tasks.fixture.js';
import { jsonText, type QueueSettings } from '#contracts';

function setUpLooks(queueing: Partial<QueueSettings> = {}, options: Omit<ProcessOptions, 'turns'> = {}) {
  const turns = new LookingTurns();
  const session = setUpTasks(queueing, { ...options, turns });
  return { ...session, turns };
}

describe('a message whose turn is not next', () => {
  it('is refused while it waits when its task could not run', async () => {
    const { send, trigger, turns, sends, told, otherwise, depth, events } = setUpLooks();
    await send(1);
    await trigger(2, 'k', { thread: 't' });
    expect([depth(), turns.asked]).toEqual([0, ['k']]);
    await turns.answer('k', REFUSAL);
    expect(otherwise()).toEqual({ 2: 'refused' });
    const { text, data } = REFUSAL;
    expect(sends()).toEqual([{ kind: 'reply', text, data: jsonText(data), seq: 2, thread: 't' }]);
    expect(told()).toEqual(['message-queued', 'message-refused']);
    expect(events).toMatchObject([{ queueDepth: 1 }, { reason: 'approval_required', queueDepth: 0 }]);
    expect(depth()).toBe(0);
  });

  it('waits like any other when it could', async () => {
    const { send, trigger, turns, depth, end, running, otherwise } = setUpLooks();
    await send(1);
    await trigger(2);
    await turns.answer('k');
    expect(depth()).toBe(1);
    await end('a');
    expect([running(), otherwise()]).toEqual([[2], {}]);
  });

  it('begins when its turn comes first, and what is found then counts for nothing', async () => {
    const { send, trigger, turns, end, running, otherwise, depth } = setUpLooks();
    await send(1);
    await trigger(2);
    await send(3);
    await end('a');
    expect([running(), depth()]).toEqual([[2], 1]);
    await turns.answer('k', REFUSAL);
    expect([running(), otherwise()]).toEqual([[2], {}]);
  });

  it('is not asked about when it begins at once, nor when it is refused anyway', async () => {
    const { trigger, turns } = setUpLooks();
    await trigger(1);
    await trigger(2);
    expect(turns.asked).toEqual([]);
  });

  it.each(['drop-oldest', 'drop-newest'] as const)(
    'is neither counted nor dropped before the answer (%s)',
    async (full) => {
      const { send, trigger, turns, otherwise, depth } = setUpLooks({ maxQueueSize: 2, onQueueFull: full });
      await send(1);
      await trigger(2);
      await send(3);
      await send(4);
      await trigger(5, 'l');
      expect([depth(), otherwise()]).toEqual([2, {}]);
      await turns.answer('l', REFUSAL);
      expect([depth(), otherwise()]).toEqual([2, { 5: 'refused' }]);
      await turns.answer('k');
      expect([depth(), otherwise()]).toEqual([2, { 5: 'refused', [full === 'drop-oldest' ? 2 : 4]: 'dropped' }]);
    },
  );

  it('does not expire before the answer, and does after it', async () => {
    const { send, trigger, turns, otherwise, clock } = setUpLooks({ queueTimeoutMs: 100 });
    await send(1);
    await trigger(2);
    await clock.advance(150);
    expect(otherwise()).toEqual({});
    await turns.answer('k');
    expect(otherwise()).toEqual({ 2: 'expired' });
  });

  it('may be cancelled meanwhile: it is decided once', async () => {
    const { send, trigger, turns, otherwise, depth } = setUpLooks();
    await send(1);
    await trigger(2);
    await send(3, cancelOrder({ what: 'message', seq: 2 }));
    await turns.answer('k', REFUSAL);
    expect([otherwise(), depth()]).toEqual([{ 2: 'cancelled' }, 0]);
  });

  it('is asked about once, also when its body is read again', async () => {
    const { send, sendAll, trigger, turns, end, otherwise, batches, depth } = setUpLooks(
      { strategy: 'fifo' },
      { laneBuffer: 2 },
    );
    await sendAll(1, 2, 3);
    await trigger(4);
    await trigger(5, 'l');
    await send(6);
    expect(depth()).toBe(3);
    await turns.answer('l', REFUSAL);
    await turns.answer('k');
    expect([otherwise(), depth()]).toEqual([{ 5: 'refused' }, 4]);
    for (let i = 0; i < 5; i++) await end('a');
    expect(batches()).toEqual([[1], [2], [3], [4], [6]]);
    expect(turns.asked).toEqual(['k', 'l']);
  });

  it('tells those behind it what it hears itself', async () => {
    const { send, trigger, turns, closed, open, sends } = setUpLooks();
    await send(1);
    await trigger(2);
    closed.add('write');
    await send(3, 'rubbish');
    await turns.answer('k', REFUSAL);
    await trigger(4);
    await open();
    expect(sends()).toMatchObject([
      { seq: 2, data: jsonText(REFUSAL.data) },
      { seq: 4, data: jsonText(REFUSAL.data) },
    ]);
  });

  it('is no reason to ask for more than some hundred at once: the rest waits for its turn', async () => {
    const { send, trigger, turns, depth } = setUpLooks({ strategy: 'fifo' });
    await send(1);
    for (let seq = 2; seq <= 301; seq++) await trigger(seq, `k${seq}`);
    expect([turns.asked.length, depth()]).toEqual([256, 300 - 256]);
    await turns.answer('k2');
    await trigger(302);
    expect([turns.asked.length, depth()]).toEqual([257, 300 - 255]);
  });

  it('is not asked about behind some hundred others that came at once, and those hear their answers', async () => {
    const { send, trigger, turns, open, otherwise, depth } = setUpLooks({ strategy: 'fifo' }, { shut: ['head'] });
    await send(1);
    for (let seq = 2; seq <= 301; seq++) await trigger(seq, `k${seq}`);
    await open();
    expect([turns.asked.length, depth()]).toEqual([256, 300 - 256]);
    await turns.answer('k2', REFUSAL);
    expect([depth(), otherwise()]).toEqual([300 - 256, { 2: 'refused' }]);
  });

  it('is asked about also when it came before the last record of its session was read', async () => {
    const { send, trigger, turns, open, otherwise, depth, running } = setUpLooks(
      { strategy: 'fifo' },
      { shut: ['head'] },
    );
    await send(1);
    await trigger(2);
    await trigger(3);
    await trigger(4, 'l');
    expect(turns.asked).toEqual([]);
    await open();
    expect([running(), turns.asked, depth(), otherwise()]).toEqual([[1], ['k', 'l'], 0, { 3: 'refused' }]);
    await turns.answer('k', REFUSAL);
    await turns.answer('l');
    expect([depth(), otherwise()]).toEqual([1, { 2: 'refused', 3: 'refused' }]);
  });

  it('is counted in the end when the question fails against its contract', async () => {
    const { send, trigger, turns, depth } = setUpLooks();
    turns.lookAtTask = () => Promise.reject(new Error('Boom'));
    await send(1);
    await trigger(2);
    await settled();
    expect(depth()).toBe(1);
  });
});

describe('a message that may have begun', () => {
  it('is never refused by a look: neither in its backoff nor after a crash', async () => {
    const a = setUpLooks();
    await a.send(1);
    await a.trigger(2);
    await a.end('a');
    await a.fail('a');
    await a.turns.answer('k', REFUSAL);
    expect(a.otherwise()).toEqual({});
    await a.clock.advance(1_000);
    expect(a.turn('a').batch).toMatchObject({ attempt: 2 });
    a.kill();
    const { records, clock } = a;
    const b = setUpLooks({}, { records, clock, isRecovery: true, shut: ['write'] });
    await b.trigger(2);
    await b.trigger(3, 'l');
    expect(b.turns.asked).toEqual(['l']);
    await b.open();
    expect(b.running()).toEqual([2]);
  });

  it.each<Partial<QueueSettings>>([{ strategy: 'queue' }, { strategy: 'concurrent', maxConcurrent: 3 }])(
    'is not asked about after a crash, when only its beginning was told ($strategy)',
    async (queueing) => {
      const a = setUpLooks(queueing);
      await a.trigger(1);
      a.kill();
      const { records, clock } = a;
      const b = setUpLooks(queueing, { records, clock, isRecovery: true, shut: ['write'] });
      await b.trigger(1);
      await b.send(2);
      expect([b.turns.asked, b.turns.active.size]).toEqual([[], 0]);
      await b.open();
      await b.clock.advance(0);
      expect(b.started('a')[0]).toMatchObject({ seqs: [1], attempt: 2 });
    },
  );

  it('is not refused by a look that began before another process ran it', async () => {
    const a = setUpLooks({ strategy: 'fifo' }, { worker: 'A/1' });
    await a.send(1);
    await a.trigger(2);
    const b = setUpLooks({ strategy: 'fifo' }, { records: a.records, clock: a.clock, isRecovery: true });
    await b.send(1);
    await b.trigger(2);
    await b.end('a');
    await b.fail('a');
    await a.send(3, 'rubbish');
    await a.turns.answer('k', REFUSAL);
    expect(a.otherwise()).toEqual({ 3: 'rejected' });
  });

  it('is not asked about while a former owner runs the session', async () => {
    const a = setUpLooks({}, { worker: 'A/1' });
    await a.trigger(1);
    const from = await a.runner.releaseShard(0);
    const b = setUpLooks({ strategy: 'fifo' }, { worker: 'B/1', records: a.records, clock: a.clock, from });
    await b.trigger(1);
    await b.send(2);
    await b.trigger(3, 'l');
    expect(b.turns.asked).toEqual([]);
    await a.end('a');
    await a.clock.advance(5);
    expect([b.running(), b.turns.asked]).toEqual([[2], ['l']]);
    // The next owner of the session asks again.
    await b.runner.releaseShard(0);
    await b.turns.answer('l', REFUSAL);
    expect(b.otherwise()).toEqual({});
  });
});
