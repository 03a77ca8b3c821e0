import { describe, expect, it } from 'vitest';
import { settled } from '#testing';
import { Gate } from '../manual-ports.fixture.js';
import { ALL, RENEW_MS, setUpKeeper, sharesOf, startedKeeper, TTL_MS } from './shard-keeper.fixture.js';

const HEARD_MS = 10;
const REFRESH_MS = 3_000;

const begun = (keeper: { mayStart(shard: number): boolean }): number[] => ALL.filter((shard) => keeper.mayStart(shard));

describe('work of a shard may begin', () => {
  it('only while the shard is ours or is being opened (L4)', async () => {
    const { broker, work, keeper } = setUpKeeper();
    expect(begun(keeper)).toEqual([]);
    broker.join('b/1');
    work.opening.set(1, new Gate());
    const acquiring = broker.delay('write');
    void keeper.start();
    await settled();
    expect(begun(keeper)).toEqual([]);
    acquiring.pass();
    await settled();
    expect(begun(keeper)).toEqual(sharesOf('a', 'a', 'b'));
    expect(keeper.mayStart(99)).toBe(false);
  });

  it('not while it is being given away (L4)', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    const [moved = 0] = sharesOf('b', 'a', 'b');
    work.releasing.set(moved, new Gate());
    broker.join('b/1');
    await clock.advance(HEARD_MS);
    expect(keeper.owned).toContain(moved);
    expect(keeper.mayStart(moved)).toBe(false);
  });

  it('not once the process drains, from the first moment', async () => {
    const { keeper } = await startedKeeper();
    void keeper.drain();
    expect(begun(keeper)).toEqual([]);
  });

  it('not when the membership has lapsed by our own clock (L4)', async () => {
    const { clock, keeper } = await startedKeeper();
    clock.sleep(TTL_MS);
    expect(begun(keeper)).toEqual([]);
  });

  it('not when the shard was lost while it was being opened (L4)', async () => {
    const { broker, work, keeper } = setUpKeeper();
    work.opening.set(3, new Gate());
    void keeper.start();
    await settled();
    expect(begun(keeper)).toEqual(ALL);
    broker.lease(3, 'b/1');
    await settled();
    expect(keeper.mayStart(3)).toBe(false);
    work.opening.get(3)?.pass();
    await settled();
    expect([keeper.mayStart(3), keeper.owned.includes(3), work.alive.has(3)]).toEqual([false, false, false]);
  });

  it('not when another process runs under our id', async () => {
    const { clock, broker, replacedBy, keeper } = await startedKeeper();
    broker.join('a/2');
    await clock.advance(RENEW_MS);
    expect(replacedBy).toEqual(['a/2']);
    expect(begun(keeper)).toEqual([]);
  });
});

describe('after a lapse of our membership', () => {
  it('nothing begins until each lease is written again; then work resumes, and our handoffs are checked again (L4)', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    const before = new Map([...broker.leases].map(([shard, { revision }]) => [shard, revision]));
    clock.sleep(TTL_MS);
    const rewriting = broker.delay('write');
    await clock.advance(RENEW_MS);
    // We are a member again.
    expect(work.calls).toEqual(['recheckHandoffs']);
    expect(begun(keeper)).toEqual([]);
    rewriting.pass();
    await settled();
    expect(begun(keeper)).toEqual(ALL);
    expect(work.calls).toEqual(['recheckHandoffs', ...ALL.map((shard) => `resume ${shard}`)]);
    for (const [shard, { revision }] of broker.leases) expect(revision).toBeGreaterThan(before.get(shard) ?? 0);
  });

  it('shards that others took in the meantime are lost and dropped; the rest resume', async () => {
    const { clock, broker, work, log, keeper } = await startedKeeper();
    clock.sleep(TTL_MS);
    broker.isHeard = false;
    broker.lease(3, 'b/1');
    await clock.advance(RENEW_MS);
    expect(work.calls).toContain('drop 3');
    expect(work.alive.has(3)).toBe(false);
    expect(begun(keeper)).toEqual(ALL.filter((shard) => shard !== 3));
    expect(broker.leases.get(3)?.lease.owner).toBe('b/1');
    await clock.advance(RENEW_MS);
    expect(log.lines.at(-1)).toMatchObject({ fields: { owned: ALL.length - 1, lost: 1 } });
  });

  it('a write that was sent before the lapse ended proves nothing, however late its answer comes (L4)', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    work.reached = { read: 0, tail: 5, open: [] };
    const before = broker.delay('write');
    await clock.advance(REFRESH_MS);
    clock.sleep(TTL_MS);
    await clock.advance(RENEW_MS);
    before.pass();
    const after = broker.delay('write');
    await settled();
    expect(begun(keeper)).toEqual([]);
    after.pass();
    await settled();
    expect(begun(keeper)).toEqual(ALL);
  });

  it('a shard that is on its way to us is uncertain too', async () => {
    const { clock, broker, work, keeper } = setUpKeeper();
    const opening = new Gate();
    for (const shard of ALL) work.opening.set(shard, opening);
    void keeper.start();
    await settled();
    clock.sleep(TTL_MS);
    const rewriting = broker.delay('write');
    await clock.advance(RENEW_MS);
    opening.pass();
    await settled();
    expect(begun(keeper)).toEqual([]);
    rewriting.pass();
    await settled();
    expect(begun(keeper)).toEqual(ALL);
  });
});

describe('a lease of ours that another member seems to have written', () => {
  it('is written again; when that succeeds, the broker had refused the other write', async () => {
    const { broker, work, keeper } = await startedKeeper();
    const { revision = 0, lease } = broker.leases.get(3) ?? {};
    if (lease !== undefined) broker.tellLease(3, { ...lease, owner: 'b/1' });
    await settled();
    expect(broker.leases.get(3)?.revision).toBeGreaterThan(revision);
    expect(broker.leases.get(3)?.lease).toMatchObject({ owner: 'a/1' });
    expect([keeper.mayStart(3), work.calls]).toEqual([true, []]);
  });

  it('is lost when our write is refused: at once, not with the next refresh', async () => {
    const { broker, work, keeper } = await startedKeeper();
    broker.lease(3, 'b/1');
    await settled();
    expect(work.calls).toEqual(['drop 3']);
    expect([keeper.owned.includes(3), keeper.mayStart(3)]).toEqual([false, false]);
  });

  it('is not written again when we hear of our own write', async () => {
    const { clock, broker } = await startedKeeper();
    await clock.advance(HEARD_MS);
    const { write } = broker.asked;
    const { lease } = broker.leases.get(3) ?? {};
    if (lease !== undefined) broker.tellLease(3, lease);
    await clock.advance(HEARD_MS);
    expect(broker.asked.write).toBe(write);
  });
});

describe('progress', () => {
  it('is written into the leases every few seconds, not into all leases at once', async () => {
    const { clock, broker, work } = await startedKeeper();
    work.reached = { read: 12, tail: 3, open: [] };
    await clock.advance(REFRESH_MS / 2);
    const written = [...broker.leases.values()].filter(({ lease }) => lease.read === 12).length;
    expect(written).toBe(ALL.length / 2);
    await clock.advance(REFRESH_MS / 2);
    expect([...broker.leases.values()].map(({ lease }) => lease.read)).toEqual(ALL.map(() => 12));
    work.reached = { read: 13, tail: 3, open: [] };
    work.sourceSeq = 13;
    await clock.advance(REFRESH_MS);
    expect(broker.leases.get(5)?.lease).toMatchObject({ owner: 'a/1', read: 13 });
  });

  it('starts no round: ownership does not change', async () => {
    const { clock, broker, work } = await startedKeeper();
    await clock.advance(RENEW_MS + HEARD_MS);
    const { write, members } = broker.asked;
    work.reached = { read: 12, tail: 3, open: [] };
    await clock.advance(REFRESH_MS - RENEW_MS);
    expect(broker.asked.write).toBeGreaterThan(write);
    expect(broker.asked.members).toBe(members);
  });
});

describe('a source that was rewound', () => {
  it('lets nothing begin, and no keeper start, until it has its former messages again', async () => {
    const { clock, broker, work, log, keeper } = setUpKeeper();
    broker.lease(3, null, { read: 40 });
    work.sourceSeq = 39;
    let isStarted = false;
    void keeper.start().then(() => (isStarted = true));
    await clock.advance(3 * RENEW_MS);
    expect([isStarted, keeper.owned, begun(keeper)]).toEqual([false, [], []]);
    // Once, and with what an operator has to do.
    expect(log.of('error')).toHaveLength(1);
    expect(log.of('error')[0]).toMatch(/found last sequence 39, wanted at least 40.*run the repair/s);
    work.sourceSeq = 40;
    await clock.advance(RENEW_MS);
    expect([isStarted, keeper.owned, begun(keeper)]).toEqual([true, ALL, ALL]);
    expect(log.of('info')).toContain('the source is complete again');
  });

  it('while we own shards: nothing begins in them, we keep them, and they resume when the source is repaired', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    work.reached = { read: 12, tail: 0, open: [] };
    work.sourceSeq = 12;
    await clock.advance(REFRESH_MS);
    work.sourceSeq = 5;
    keeper.returned();
    await clock.advance(HEARD_MS);
    expect([keeper.owned, begun(keeper), work.calls]).toEqual([ALL, [], []]);
    work.sourceSeq = 12;
    await clock.advance(RENEW_MS);
    expect(begun(keeper)).toEqual(ALL);
    expect(work.calls).toEqual(ALL.map((shard) => `resume ${shard}`));
    expect(broker.shardsOf('a/1')).toEqual(ALL);
  });

  it('is also detected by what this process has read, whatever the leases say', async () => {
    const { clock, work, keeper } = await startedKeeper();
    work.highestRead = 7;
    work.sourceSeq = 6;
    keeper.returned();
    await clock.advance(HEARD_MS);
    expect(begun(keeper)).toEqual([]);
    work.sourceSeq = 7;
    await clock.advance(RENEW_MS);
    expect(begun(keeper)).toEqual(ALL);
  });

  it('is not reported for a source that grows while we look: its end is read after the leases', async () => {
    const { clock, broker, work, log, keeper } = await startedKeeper();
    await clock.advance(HEARD_MS);
    const reading = broker.delay('leases');
    keeper.returned();
    await clock.advance(HEARD_MS);
    // Both grow while the leases are read.
    work.sourceSeq = 50;
    broker.lease(3, 'a/1', { read: 50 });
    reading.pass();
    await settled();
    expect(log.of('error')).toEqual([]);
    expect(begun(keeper)).toContain(0);
  });

  it('does not stop us from giving shards away', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    work.highestRead = 7;
    keeper.returned();
    await clock.advance(HEARD_MS);
    const draining = keeper.drain();
    await settled();
    await draining;
    expect(broker.shardsOf(null)).toEqual(ALL);
  });
});

describe('leases that were rewound with everything else', () => {
  it('are taken as they are now: what we knew of them no longer counts', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    const ofLongAgo = new Map(broker.leases);
    work.reached = { read: 0, tail: 12, open: [] };
    await clock.advance(REFRESH_MS);
    for (const [shard, { revision, lease }] of ofLongAgo) broker.leases.set(shard, { revision, lease });
    keeper.returned();
    work.reached = { read: 0, tail: 13, open: [] };
    await clock.advance(REFRESH_MS + RENEW_MS);
    expect(begun(keeper)).toEqual(ALL);
  });

  it('are written again when none is left, as soon as there is something to write', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    broker.leases.clear();
    keeper.returned();
    work.reached = { read: 0, tail: 13, open: [] };
    await clock.advance(REFRESH_MS + RENEW_MS);
    expect(broker.shardsOf('a/1')).toEqual(ALL);
    expect(begun(keeper)).toEqual(ALL);
  });
});

describe('a shard whose lease cannot be read', () => {
  it('is left alone and logged with a remedy, and taken once the operator has removed the key (L1)', async () => {
    const { clock, broker, work, log, keeper } = setUpKeeper();
    broker.unreadable.set(3, 40);
    await keeper.start();
    await clock.advance(3 * TTL_MS);
    const others = ALL.filter((shard) => shard !== 3);
    expect([keeper.owned, keeper.mayStart(3), work.starts.has(3)]).toEqual([others, false, false]);
    expect(log.of('error')).toHaveLength(1);
    expect(log.of('error')[0]).toMatch(/shard 3 .*newer version.*update this worker.*remove that key/);
    const { write } = broker.asked;
    await clock.advance(TTL_MS);
    // No write is tried against it.
    expect(broker.asked.write).toBe(write);
    broker.unreadable.clear();
    await clock.advance(RENEW_MS);
    expect(keeper.owned).toEqual(ALL);
  });

  it('is lost when it was ours: the newer version that wrote the key owns it', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    broker.leases.delete(3);
    broker.unreadable.set(3, 1_000);
    work.reached = { read: 0, tail: 5, open: [] };
    await clock.advance(REFRESH_MS);
    await clock.advance(TTL_MS);
    expect(work.calls.filter((call) => call.endsWith(' 3'))).toEqual(['drop 3']);
    expect(keeper.owned).toEqual(ALL.filter((shard) => shard !== 3));
  });
});

describe('a broker that is away', () => {
  it('for a moment changes nothing: the next beat looks again', async () => {
    const { clock, broker, keeper } = await startedKeeper();
    broker.goAway();
    keeper.interrupt();
    await clock.advance(RENEW_MS + HEARD_MS);
    expect(begun(keeper)).toEqual(ALL);
    broker.join('b/1');
    broker.comeBack();
    keeper.returned();
    await clock.advance(HEARD_MS);
    expect(keeper.owned).toEqual(sharesOf('a', 'a', 'b'));
  });

  it('for longer than every time to live: no member takes shards from members that come back later', async () => {
    const { clock, broker, keeper } = setUpKeeper();
    broker.join('b/1');
    const theirs = sharesOf('b', 'a', 'b');
    for (const shard of theirs) broker.lease(shard, 'b/1');
    await keeper.start();
    await clock.advance(2 * TTL_MS);
    broker.goAway();
    keeper.interrupt();
    await clock.advance(2 * TTL_MS);
    broker.expire('a');
    broker.expire('b');
    broker.comeBack();
    keeper.returned();
    await clock.advance(TTL_MS - RENEW_MS);
    expect(keeper.owned).toEqual(sharesOf('a', 'a', 'b'));
    expect(broker.shardsOf('b/1')).toEqual(theirs);
    broker.join('b/1');
    await clock.advance(2 * TTL_MS);
    expect(broker.shardsOf('b/1')).toEqual(theirs);
  });

  it('before we joined: a member that comes back a moment after us is not dead, though we heard nothing of it (L8)', async () => {
    const { clock, broker, keeper } = setUpKeeper();
    const theirs = sharesOf('b', 'a', 'b');
    for (const shard of theirs) broker.lease(shard, 'b/1');
    await clock.advance(2 * TTL_MS);
    await keeper.start();
    await clock.advance(TTL_MS - RENEW_MS);
    broker.join('b/1');
    await clock.advance(2 * TTL_MS);
    expect(broker.shardsOf('b/1')).toEqual(theirs);
  });

  it('for nearly a time to live, while the connection is up: a member whose renewal comes a moment later is not dead (L8)', async () => {
    const { clock, broker, work, keeper } = setUpKeeper();
    broker.join('b/1');
    for (const shard of sharesOf('b', 'a', 'b')) broker.lease(shard, 'b/1');
    await keeper.start();
    for (let spentMs = 0; spentMs < 2 * TTL_MS; spentMs += RENEW_MS) {
      await clock.advance(100);
      broker.join('b/1'); // Renewed 1.9 s before ours.
      await clock.advance(RENEW_MS - 100);
    }
    // The bucket has no leader: the key of b expires before our own membership has lapsed.
    broker.goAway();
    await clock.advance(8_500);
    broker.expire('b');
    broker.comeBack();
    await clock.advance(1_500);
    expect(await keeper.isGone('b/1')).toBe(false);
    broker.join('b/1');
    await clock.advance(2 * TTL_MS);
    expect([keeper.owned, [...work.starts.values()].some(({ isCrash }) => isCrash)]).toEqual([
      sharesOf('a', 'a', 'b'),
      false,
    ]);
  });

  it('while a round reads: that round changes nothing', async () => {
    const { clock, broker, keeper } = await startedKeeper();
    await clock.advance(HEARD_MS);
    const reading = broker.delay('source');
    broker.join('b/1');
    keeper.returned();
    await clock.advance(HEARD_MS);
    reading.fail(new Error('away'));
    await settled();
    expect(keeper.owned).toEqual(ALL);
    // Long before the next beat.
    await clock.advance(200);
    expect(keeper.owned).toEqual(sharesOf('a', 'a', 'b'));
  });

  it('while a round reads: the next round finds what this one was looking for', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    await clock.advance(HEARD_MS);
    [work.highestRead, work.sourceSeq] = [7, 6];
    const reading = broker.delay('source');
    keeper.returned();
    await clock.advance(HEARD_MS);
    reading.fail(new Error('away'));
    await settled();
    expect(begun(keeper)).toEqual(ALL);
    await clock.advance(RENEW_MS);
    expect(begun(keeper)).toEqual([]);
  });
});

describe('a dead worker when the broker does not remove its key', () => {
  it('does not keep its shards for ever: its key is removed, and others take its share', async () => {
    const { clock, broker, keeper } = setUpKeeper();
    broker.tellsRevisions = true;
    broker.join('b/1');
    for (const shard of sharesOf('b', 'a', 'b')) broker.lease(shard, 'b/1');
    void keeper.start();
    await settled();
    expect(keeper.owned).toEqual(sharesOf('a', 'a', 'b'));
    await clock.advance(2 * TTL_MS);
    expect(keeper.owned).toEqual(sharesOf('a', 'a', 'b'));
    await clock.advance(3 * TTL_MS);
    expect([keeper.owned, broker.members.has('b')]).toEqual([ALL, false]);
  });
});
