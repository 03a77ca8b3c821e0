import { describe, expect, it } from 'vitest';
import { silentLogger, type Logger } from '#telemetry';
import { TURN_MS } from './agent-needs.js';
import { cancelOrder, decisionsOf, setUpProcess, type ProcessOptions } from '../scenarios/lane-process.fixture.js';
import { MemoryInbox, rawMessage, sessionKey, settled } from '../scenarios/lane-runner.fixture.js';
import { MEMORY_LIMITS } from './lane-runner-options.js';

/** A worker whose settings do not have the agent `main`, over what other workers leave and find. */
function setUp(options: ProcessOptions = {}) {
  const inbox = options.inbox ?? new MemoryInbox();
  const away = setUpProcess({ inbox, agents: ['suport'], worker: 'w/2', ...options });
  const { records, clock } = away;
  /** The shard goes on at a worker that has it. */
  const moveOn = async (...seqs: number[]) => {
    const from = await away.runner.releaseShard(0);
    const there = setUpProcess({ records, clock, inbox, from, worker: 'w/3' });
    for (const { session, from: first } of from.open)
      for (const seq of seqs.filter((each) => each >= first)) there.runner.receive(keyOf(session), messageOf(seq));
    for (const { session } of from.open) there.runner.receivedOpen(keyOf(session));
    there.runner.caughtUp(0);
    await settled();
    return { ...there, from };
  };
  return { ...away, inbox, moveOn };
}

const DAY_MS = 24 * 60 * 60 * 1_000;
const keyOf = (session: string) => sessionKey(session.slice('main.'.length));
const messageOf = (seq: number) => rawMessage(seq, {});

describe('messages of an agent that this process lacks', () => {
  it('L1 L2 wait undecided, and run in their order at a worker that has it', async () => {
    const { receive, records, turns, answer, moveOn } = setUp();
    for (const seq of [1, 2, 3]) await receive('a', seq);
    expect([turns.started, records.writes]).toEqual([[], 0]);
    expect(answer()).toMatchObject({ state: 'waiting-for-agent', depth: 3 });
    const there = await moveOn(1, 2, 3);
    expect(there.from).toMatchObject({ open: [{ session: 'main.a', from: 1 }], needs: [{ agent: 'main' }] });
    expect(there.started('a')).toMatchObject([{ seqs: [1, 2, 3], attempt: 1 }]);
    await there.end('a');
    expect(decisionsOf(records.of('a'))).toEqual([1, 2, 3].map((seq) => [seq, 'handled']));
    expect(there.runner.describe(sessionKey('a'))).toMatchObject({ state: 'idle' });
  });

  it('L7 a run that waits for its next attempt waits on, whenever that is due, and is the same run then', async () => {
    const inbox = new MemoryInbox();
    const former = setUpProcess({ inbox, worker: 'w/1' });
    await former.receive('a', 1);
    await former.receive('a', 2);
    await former.fail('a');
    const [{ runId = '' } = {}] = former.started('a');
    const { records, clock } = former;
    const from = await former.runner.releaseShard(0);
    const typo = setUp({ records, clock, inbox, from });
    for (const seq of [1, 2, 3]) await typo.receive('a', seq);
    typo.runner.receivedOpen(sessionKey('a'));
    typo.runner.caughtUp(0);
    const before = records.writes;
    await clock.advance(DAY_MS);
    expect([typo.turns.started, records.writes]).toEqual([[], before]);
    expect(typo.answer()).toMatchObject({ state: 'waiting-for-agent', depth: 3, retry: { runId, attempt: 2 } });
    const there = await typo.moveOn(1, 2, 3);
    expect(there.started('a')).toEqual([{ seqs: [1], runId, attempt: 2 }]);
    await there.end('a');
    await there.end('a');
    expect(decisionsOf(records.of('a'))).toEqual([1, 2, 3].map((seq) => [seq, 'handled']));
  });

  it('are neither dropped nor expire by what other agents have', async () => {
    const { receive, records, clock, answer } = setUp();
    for (let seq = 1; seq <= 40; seq++) await receive('a', seq, { strategy: seq % 2 === 0 ? 'drop' : 'concurrent' });
    await clock.advance(DAY_MS);
    expect([records.writes, answer().depth]).toEqual([0, 40]);
  });

  it('what is no message is rejected all the same', async () => {
    const { receive, records, answer } = setUp();
    await receive('a', 1);
    await receive('a', 2, 'broken');
    await receive('a', 3);
    expect(decisionsOf(records.of('a'))).toEqual([[2, 'rejected']]);
    expect(answer()).toMatchObject({ state: 'waiting-for-agent', depth: 2 });
  });

  it('L5 L6 take no memory but their numbers, and keep no shard from being read', async () => {
    const memory = { ...MEMORY_LIMITS, openLanes: 10 };
    const { runner, turns } = setUp({ memory, agents: ['main'] });
    const text = 'x'.repeat(10_000);
    for (let seq = 1; seq <= 10; seq++) runner.receive(sessionKey(`s${seq}`, 'away'), rawMessage(seq, { text }));
    for (let seq = 11; seq <= 900; seq++) runner.receive(sessionKey('s1', 'away'), rawMessage(seq, { text }));
    await settled();
    expect([runner.memory.waitingBytes, runner.askForRoom(0)]).toEqual([0, true]);
    for (let seq = 901; seq <= 909; seq++) runner.receive(sessionKey(`m${seq}`), rawMessage(seq));
    await settled();
    expect([runner.askForRoom(0), turns.started.length]).toEqual([true, 9]);
    // Both have a bound of their own.
    for (let seq = 910; seq <= 920; seq++) runner.receive(sessionKey(`s${seq}`, 'away'), rawMessage(seq));
    await settled();
    expect(runner.askForRoom(0)).toBe(false);
  });

  it('L1 wait on when another worker decides some of them, and none of them twice', async () => {
    const { receive, records, runner, answer } = setUp();
    for (const seq of [1, 2, 3]) await receive('a', seq);
    const { head, seq: expected } = records.head('a');
    const messages = [{ id: 'm2', seq: 2, decision: 'handled' }];
    const record = { v: 1, kind: 'note', worker: 'w/9', commitId: 'theirs', ...head, done: [[2, 2]], messages };
    records.write('a', JSON.stringify(record), expected);
    await receive('a', 4, cancelOrder({ what: 'message', seq: 1 }));
    expect(decisionsOf(records.of('a'))).toEqual([
      [2, 'handled'],
      [1, 'cancelled'],
      [4, 'handled'],
    ]);
    expect(answer()).toMatchObject({ state: 'waiting-for-agent', depth: 1 });
    expect(runner.progress(0)?.open).toEqual([{ session: 'main.a', from: 3 }]);
  });

  it('a session that a former owner still runs is held, and waits for its agent when that turn has ended', async () => {
    const inbox = new MemoryInbox();
    const former = setUpProcess({ inbox, worker: 'w/1' });
    await former.receive('a', 1);
    await former.receive('a', 2);
    const { records, clock } = former;
    const from = await former.runner.releaseShard(0);
    const typo = setUp({ records, clock, inbox, from });
    for (const seq of [1, 2]) await typo.receive('a', seq);
    typo.runner.receivedOpen(sessionKey('a'));
    typo.runner.caughtUp(0);
    expect(typo.answer().state).toBe('held');
    await former.end('a');
    await clock.advance(2_000);
    expect(typo.answer()).toMatchObject({ state: 'waiting-for-agent', depth: 1 });
    const there = await typo.moveOn(1, 2);
    expect(there.started('a')).toMatchObject([{ seqs: [2], attempt: 1 }]);
  });
});

describe('orders to a session whose agent is missing', () => {
  it('cancel all of it', async () => {
    const { receive, records, answer } = setUp();
    for (const seq of [1, 2]) await receive('a', seq);
    await receive('a', 3, cancelOrder({ what: 'session' }));
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'cancelled'],
      [2, 'cancelled'],
      [3, 'handled'],
    ]);
    expect(answer().state).toBe('idle');
  });

  it('cancel one message, and the others wait on', async () => {
    const { receive, records, answer, moveOn } = setUp();
    for (const seq of [1, 2, 3]) await receive('a', seq);
    await receive('a', 4, cancelOrder({ what: 'message', seq: 2 }));
    expect(decisionsOf(records.of('a'))).toEqual([
      [2, 'cancelled'],
      [4, 'handled'],
    ]);
    expect(answer()).toMatchObject({ state: 'waiting-for-agent', depth: 2 });
    expect((await moveOn(1, 3)).started('a')).toMatchObject([{ seqs: [1, 3] }]);
  });

  it('end a run that waits for its next attempt', async () => {
    const inbox = new MemoryInbox();
    const former = setUpProcess({ inbox, worker: 'w/1' });
    await former.receive('a', 1);
    await former.fail('a');
    const [{ runId = '' } = {}] = former.started('a');
    const { records, clock } = former;
    const typo = setUp({ records, clock, inbox, from: await former.runner.releaseShard(0) });
    for (const seq of [1, 2]) await typo.receive('a', seq);
    typo.runner.receivedOpen(sessionKey('a'));
    await typo.receive('a', 3, cancelOrder({ what: 'run', runId }));
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'cancelled'],
      [3, 'handled'],
    ]);
    expect(records.head('a').head.run).toBeNull();
    expect(typo.answer()).toMatchObject({ state: 'waiting-for-agent', depth: 1 });
  });
});

describe('messages whose agent is missing for too long', () => {
  it('end as dead letters with their content, and the session goes on', async () => {
    const events: unknown[] = [];
    const { receive, records, clock, runner, answer } = setUp({
      agentMissingMs: DAY_MS,
      onEvent: (_key, event) => void events.push(event),
    });
    await receive('a', 1, { text: 'one' });
    await receive('a', 2, { text: 'two' });
    runner.caughtUp(0);
    await clock.advance(DAY_MS - 60_000);
    expect([records.writes, answer().depth]).toEqual([0, 2]);
    await clock.advance(3 * 60_000);
    expect(records.of('a')).toMatchObject([
      {
        kind: 'note',
        messages: [1, 2].map((seq) => ({ seq, decision: 'dead', reason: 'agent-missing' })),
        upto: 2,
      },
    ]);
    // Before the record that decides them.
    expect(records.buried).toMatchObject(
      ['one', 'two'].map((text, i) => ({
        records: 0,
        letter: { seq: i + 1, attempts: 0, status: 'failed', error: { name: 'agent-missing' }, message: { text } },
      })),
    );
    expect(answer().state).toBe('idle');
    expect(events).toContainEqual(expect.objectContaining({ type: 'message-dead', seq: 1, reason: 'agent-missing' }));
    expect(clock.waiting).toBe(0);
  });

  it('an old message is not ended by an agent that is away for a minute, nor a new one by one that is away for long', async () => {
    const { records, clock, runner, answer, inbox } = setUp({ agentMissingMs: DAY_MS });
    const store = async (seq: number, agoMs: number) => {
      const raw = { ...rawMessage(seq), storedAtMs: clock.now() - agoMs };
      inbox.keep(sessionKey('a'), raw);
      runner.receive(sessionKey('a'), raw);
      await settled();
    };
    await store(1, 30 * DAY_MS);
    runner.caughtUp(0);
    await clock.advance(DAY_MS - 120_000);
    expect(records.writes).toBe(0);
    await store(2, 0);
    await clock.advance(240_000);
    expect(decisionsOf(records.of('a'))).toEqual([[1, 'dead']]);
    expect(answer()).toMatchObject({ state: 'waiting-for-agent', depth: 1 });
    await clock.advance(DAY_MS);
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'dead'],
      [2, 'dead'],
    ]);
  });

  it('have waited at former owners too, which their lease tells; at one that has the agent nothing is left of it', async () => {
    const { receive, records, clock, runner, inbox } = setUp({ agentMissingMs: DAY_MS });
    await receive('a', 1);
    runner.caughtUp(0);
    await clock.advance(DAY_MS / 2);
    const told = runner.progress(0)?.needs ?? [];
    expect(told).toEqual([{ agent: 'main', waitedMs: expect.closeTo(DAY_MS / 2, -6) }]);
    const from = await runner.releaseShard(0);
    expect(from.needs).toEqual([{ agent: 'main', waitedMs: DAY_MS / 2 }]);
    const next = setUp({ records, clock, inbox, from, agentMissingMs: DAY_MS });
    // Also while nothing of it is read yet.
    expect(next.runner.progress(0)?.needs).toMatchObject([{ agent: 'main' }]);
    await next.receive('a', 1);
    next.runner.receivedOpen(sessionKey('a'));
    next.runner.caughtUp(0);
    await clock.advance(DAY_MS / 2 - 60_000);
    expect(records.writes).toBe(0);
    const { runner: has, end } = await next.moveOn(1);
    expect(has.progress(0)?.needs).toEqual([{ agent: 'main', waitedMs: 0 }]);
    await end('a');
    await clock.advance(2 * 60_000);
    expect(decisionsOf(records.of('a'))).toEqual([[1, 'handled']]);
  });

  it('a run that waited for its next attempt ends with them, under its own name', async () => {
    const inbox = new MemoryInbox();
    const former = setUpProcess({ inbox, worker: 'w/1' });
    await former.receive('a', 1);
    await former.fail('a');
    const [{ runId = '' } = {}] = former.started('a');
    const { records, clock } = former;
    const from = await former.runner.releaseShard(0);
    const typo = setUp({ records, clock, inbox, from, agentMissingMs: DAY_MS });
    for (const seq of [1, 2]) await typo.receive('a', seq);
    typo.runner.receivedOpen(sessionKey('a'));
    typo.runner.caughtUp(0);
    await clock.advance(DAY_MS + 2 * 60_000);
    expect(records.buried.map(({ letter }) => [letter.seq, letter.attempts])).toEqual([
      [1, 1],
      [2, 0],
    ]);
    expect(records.buried[0]?.letter.runId).toBe(runId);
    expect(records.head('a').head).toMatchObject({ upto: 2, run: null });
  });

  it('L4 are left alone where the shard may be another worker’s', async () => {
    let isOurs = true;
    const { receive, records, clock } = setUp({ agentMissingMs: DAY_MS, mayStart: () => isOurs });
    await receive('a', 1);
    isOurs = false;
    await clock.advance(2 * DAY_MS);
    expect(records.writes).toBe(0);
    isOurs = true;
    await clock.advance(60_000);
    expect(decisionsOf(records.of('a'))).toEqual([[1, 'dead']]);
  });

  it('L3 more of them than one record holds end in several', async () => {
    const { runner, records, clock } = setUp({ agentMissingMs: DAY_MS });
    for (let seq = 1; seq <= 1_200; seq++)
      runner.receive(sessionKey('a'), rawMessage(seq, { text: 'x'.repeat(2_000) }));
    await clock.advance(DAY_MS + 120_000);
    expect(records.head('a').head.upto).toBe(1_200);
    expect([records.buried.length, runner.memory.waitingBytes]).toEqual([1_200, 0]);
  });
});

describe('what people and other workers are told of it', () => {
  it('is one line in the log for each agent, and how many sessions wait', async () => {
    const warned: unknown[] = [];
    const log = { ...silentLogger, warn: (fields: unknown) => void warned.push(fields) } as unknown as Logger;
    const { runner } = setUp({ log });
    let seq = 0;
    for (const [session, agent] of [
      ['a', 'main'],
      ['b', 'main'],
      ['a', 'main'],
      ['c', 'other'],
    ] as const) {
      runner.receive(sessionKey(session, agent), rawMessage(++seq));
      await settled();
    }
    expect(warned).toEqual([{ agent: 'main' }, { agent: 'other' }]);
    expect(runner.waitingForAgents).toEqual({ main: 2, other: 1 });
    runner.receive(sessionKey('c', 'other'), rawMessage(++seq, cancelOrder({ what: 'session' })));
    await settled();
    runner.caughtUp(0);
    expect(runner.waitingForAgents).toEqual({ main: 2 });
    expect(runner.progress(0)?.needs).toMatchObject([{ agent: 'main' }]);
  });

  it('an agent that got its owner the shard is named until none of its sessions is there any more', async () => {
    const { receive, clock, moveOn } = setUp();
    await receive('a', 1);
    const there = await moveOn(1);
    await there.end('a');
    await clock.advance(TURN_MS);
    expect(there.runner.progress(0)?.needs).toEqual([{ agent: 'main', waitedMs: 0 }]);
    await clock.advance(MEMORY_LIMITS.idleMs);
    there.runner.forgetIdle();
    expect(there.runner.progress(0)).not.toHaveProperty('needs');
  });
});
