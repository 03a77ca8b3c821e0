import { describe, expect, it } from 'vitest';
import { settled } from '#testing';
import { APART_MS } from '../members/death-judge.js';
import { Gate } from '../manual-ports.fixture.js';
import { ALL, RENEW_MS, setUpKeeper, sharesOf, SHARDS, startedKeeper, TTL_MS } from './shard-keeper.fixture.js';

/** Long enough for the keeper to react to what it heard. */
const HEARD_MS = 10;
/** Until an absence was found twice: the time between the two, and one look in between. */
const LOOK_MS = 200;
const CERTAIN_MS = APART_MS + LOOK_MS;
const OURS = sharesOf('a', 'a', 'b');
const THEIRS = sharesOf('b', 'a', 'b');
const [MOVED = 0] = THEIRS;

/** `a/1` owns its share beside `b/1`, which owns the rest. */
async function besideAnother() {
  const parts = setUpKeeper();
  parts.broker.join('b/1');
  for (const shard of THEIRS) parts.broker.lease(shard, 'b/1');
  await parts.keeper.start();
  return parts;
}

describe('a keeper that starts', () => {
  it('joins, takes every free shard, and has started when all of them are open', async () => {
    const { broker, work, keeper } = setUpKeeper();
    work.opening.set(3, new Gate());
    let isStarted = false;
    void keeper.start().then(() => (isStarted = true));
    await settled();
    expect(broker.members.get('a')).toEqual({ v: 1, incarnation: 'a/1', draining: false, capacity: 7 });
    expect(broker.shardsOf('a/1')).toEqual(ALL);
    expect(isStarted).toBe(false);
    work.opening.get(3)?.pass();
    await settled();
    expect(isStarted).toBe(true);
    expect(keeper.owned).toEqual(ALL);
    expect([...work.alive].toSorted()).toEqual(ALL);
  });

  it('resumes where the last owner was, after a handover', async () => {
    const { broker, work, keeper } = setUpKeeper();
    work.sourceSeq = 40;
    const progress = { read: 40, tail: 9, open: [{ session: 'main.s', from: 12, holder: 'b/1', since: 3 }] };
    broker.lease(3, null, progress);
    await keeper.start();
    expect(work.starts.get(3)).toMatchObject({ ...progress, isCrash: false });
    expect(broker.leases.get(3)?.lease).toMatchObject({ ...progress, owner: 'a/1' });
  });

  it('takes a shard whose lease names it already: that is not a crash', async () => {
    const { broker, work, keeper } = setUpKeeper();
    work.sourceSeq = 40;
    broker.lease(3, 'a/1', { read: 40 });
    await keeper.start();
    expect(keeper.owned).toEqual(ALL);
    expect(work.starts.get(3)).toMatchObject({ read: 40, isCrash: false });
  });

  it('takes only its own share beside others', async () => {
    const { broker, work, keeper } = setUpKeeper();
    broker.join('b/1');
    await keeper.start();
    expect(keeper.owned).toEqual(OURS);
    expect(broker.shardsOf('a/1')).toEqual(OURS);
    expect([...work.starts.keys()].toSorted()).toEqual(OURS);
  });

  it('leaves its share with owners that are still alive, until they give it away', async () => {
    const { clock, broker, keeper } = setUpKeeper();
    broker.join('b/1');
    for (const shard of ALL) broker.lease(shard, 'b/1');
    await keeper.start();
    await clock.advance(2 * TTL_MS);
    expect(keeper.owned).toEqual([]);
    const [first = 0] = OURS;
    broker.lease(first, null);
    await clock.advance(HEARD_MS);
    expect(keeper.owned).toEqual([first]);
  });

  it('takes no shard that is assigned to a member that drains', async () => {
    const { broker, keeper } = setUpKeeper();
    broker.join('b/1', true);
    await keeper.start();
    expect(keeper.owned).toEqual(ALL);
  });

  it('has started only after a round as a member: a process that is ready has its shards', async () => {
    const { clock, broker, keeper } = setUpKeeper();
    const joining = broker.delay('put');
    let ownedAtStart: number[] | undefined;
    void keeper.start().then(() => (ownedAtStart = keeper.owned));
    broker.join('b/1');
    await clock.advance(HEARD_MS);
    joining.pass();
    await settled();
    expect(ownedAtStart).toEqual(OURS);
  });

  it('logs how many shards it has when that changes', async () => {
    const { clock, broker, log } = await startedKeeper();
    await clock.advance(HEARD_MS);
    const said = (): object[] => log.lines.filter(({ message }) => message === 'shards of this process');
    expect(said()).toMatchObject([{ fields: { owned: SHARDS, of: SHARDS, lost: 0 } }]);
    await clock.advance(2 * RENEW_MS);
    expect(said()).toHaveLength(1);
    broker.join('b/1');
    await clock.advance(2 * HEARD_MS);
    expect(said().at(-1)).toMatchObject({ fields: { owned: OURS.length } });
  });
});

describe('when another one joins, a keeper', () => {
  it('gives away the idle shards of the other’s share at once, and keeps its own', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    broker.join('b/1');
    await clock.advance(HEARD_MS);
    expect(keeper.owned).toEqual(OURS);
    expect(broker.shardsOf(null)).toEqual(THEIRS);
    expect(work.calls.toSorted()).toEqual(THEIRS.map((shard) => `release ${shard}`));
  });

  it('keeps a busy shard for a second, then gives it away with its turns in handoff', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    work.busy.set(MOVED, 1);
    broker.join('b/1');
    await clock.advance(990);
    expect(keeper.owned).toContain(MOVED);
    await clock.advance(250);
    expect(keeper.owned).toEqual(OURS);
  });

  it('gives away a busy shard as soon as its turns have ended, though it is not told', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    work.busy.set(MOVED, 1);
    broker.join('b/1');
    await clock.advance(300);
    work.busy.set(MOVED, 0);
    await clock.advance(250);
    expect(keeper.owned).toEqual(OURS);
  });

  it('starts the second again for a shard that was its own in between', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    work.busy.set(MOVED, 1);
    broker.join('b/1');
    await clock.advance(900);
    broker.leave('b');
    await clock.advance(HEARD_MS);
    broker.join('b/1');
    await clock.advance(950);
    expect(keeper.owned).toContain(MOVED);
    await clock.advance(300);
    expect(keeper.owned).not.toContain(MOVED);
  });

  it('takes back what it gave away when the other member leaves without having taken it', async () => {
    const { clock, broker, keeper } = await startedKeeper();
    broker.join('b/1');
    await clock.advance(HEARD_MS);
    broker.leave('b');
    await clock.advance(HEARD_MS);
    expect(keeper.owned).toEqual(ALL);
  });

  it('finds by the next beat a member that it did not hear of', async () => {
    const { clock, broker, keeper } = await startedKeeper();
    broker.isHeard = false;
    broker.join('b/1');
    await clock.advance(RENEW_MS);
    expect(keeper.owned).toEqual(OURS);
  });
});

describe('a shard that another member gave away', () => {
  it('is taken as soon as we hear of it', async () => {
    const { clock, broker, keeper } = await besideAnother();
    broker.join('b/1', true);
    await clock.advance(HEARD_MS);
    expect(keeper.owned).toEqual(OURS);
    broker.lease(MOVED, null);
    await clock.advance(HEARD_MS);
    expect(keeper.owned).toEqual([...OURS, MOVED].toSorted());
  });

  it('is taken soon after the lease is stored, though we heard of it before that', async () => {
    const { clock, broker, keeper } = await besideAnother();
    broker.join('b/1', true);
    await clock.advance(HEARD_MS);
    const { lease } = broker.leases.get(MOVED) ?? {};
    if (lease !== undefined) broker.tellLease(MOVED, { ...lease, owner: null });
    await clock.advance(HEARD_MS);
    expect(keeper.owned).not.toContain(MOVED);
    broker.isHeard = false;
    broker.lease(MOVED, null);
    await clock.advance(30);
    expect(keeper.owned).toContain(MOVED);
  });

  it('is taken by the second beat when we did not hear of it', async () => {
    const { clock, broker, keeper } = await besideAnother();
    broker.isHeard = false;
    broker.join('b/1', true);
    for (const shard of THEIRS) broker.lease(shard, null);
    await clock.advance(2 * RENEW_MS);
    expect(keeper.owned).toEqual(ALL);
  });

  it('is not a crash, and its progress is the one in the lease', async () => {
    const { clock, broker, work } = await besideAnother();
    work.sourceSeq = 70;
    broker.lease(MOVED, null, { read: 70 });
    broker.leave('b');
    await clock.advance(HEARD_MS);
    expect(work.starts.get(MOVED)).toMatchObject({ read: 70, isCrash: false });
  });

  it('is known from our own writes: a read that is behind them changes nothing', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    broker.replicaHas = new Map(broker.leases);
    [work.reached, work.sourceSeq] = [{ read: 12, tail: 3, open: [] }, 12];
    broker.join('b/1');
    await clock.advance(HEARD_MS);
    const reads = broker.asked.leases;
    await clock.advance(TTL_MS);
    expect(broker.asked.leases).toBeGreaterThan(reads);
    const { write } = broker.asked;
    broker.leave('b');
    await clock.advance(HEARD_MS);
    expect(keeper.owned).toEqual(ALL);
    expect(broker.asked.write).toBe(write + THEIRS.length);
    expect(work.starts.get(MOVED)).toMatchObject({ read: 12 });
  });

  it('is taken at once even when it was given away again since the last read', async () => {
    const { clock, broker, keeper } = await besideAnother();
    broker.join('b/1', true);
    await clock.advance(HEARD_MS);
    broker.isHeard = false;
    broker.lease(MOVED, null);
    broker.replicaHas = new Map(broker.leases);
    broker.lease(MOVED, null);
    const { write } = broker.asked;
    keeper.returned();
    await clock.advance(2 * HEARD_MS);
    // The first write was refused.
    expect([keeper.owned, broker.asked.write]).toEqual([[...OURS, MOVED].toSorted(), write + 2]);
  });

  it('is looked for every few beats, even when nothing is expected', async () => {
    const { clock, broker } = await startedKeeper();
    await clock.advance(HEARD_MS);
    const before = broker.asked.leases;
    await clock.advance(4 * RENEW_MS);
    expect(broker.asked.leases).toBe(before);
    await clock.advance(RENEW_MS);
    expect(broker.asked.leases).toBe(before + 1);
  });
});

describe('an owner whose key is gone', () => {
  it('is judged only by a member that has stood for one whole time to live: an outage may have expired every key', async () => {
    const { clock, broker, work, keeper } = setUpKeeper();
    broker.lease(MOVED, 'b/1', { read: 0 });
    await keeper.start();
    await clock.advance(TTL_MS - 100);
    expect(keeper.owned).not.toContain(MOVED);
    await clock.advance(300);
    expect(keeper.owned).toContain(MOVED);
    expect(work.starts.get(MOVED)).toMatchObject({ isCrash: true });
    expect(keeper.owned).toEqual(ALL);
  });

  it('is judged by what the leader says, whatever a replica did not find', async () => {
    const { clock, broker, keeper } = await startedKeeper();
    await clock.advance(TTL_MS);
    broker.join('b/1');
    await clock.advance(HEARD_MS);
    for (const shard of THEIRS) broker.lease(shard, 'b/1');
    // A lagging replica: it finds no member.
    broker.replicaFinds = [];
    await clock.advance(2 * RENEW_MS);
    expect(broker.asked.standing).toBeGreaterThan(0);
    expect(keeper.owned).toEqual(OURS);
  });

  it('is judged once per round for all of its shards', async () => {
    const { clock, broker, keeper } = await besideAnother();
    await clock.advance(TTL_MS);
    const before = broker.asked.standing;
    broker.expire('b');
    await clock.advance(RENEW_MS + HEARD_MS);
    expect(keeper.owned).toEqual(ALL);
    // Once at each look until it was certain.
    expect(broker.asked.standing).toBe(before + 1 + Math.ceil(APART_MS / LOOK_MS));
  });

  it('is not dead after one absence: its key is there again at the second look (L8)', async () => {
    const { clock, broker, work, keeper } = await besideAnother();
    await clock.advance(2 * TTL_MS);
    broker.expire('b');
    await clock.advance(LOOK_MS + HEARD_MS);
    expect(broker.asked.standing).toBeGreaterThan(0);
    broker.join('b/1');
    await clock.advance(TTL_MS - HEARD_MS);
    expect([keeper.owned, [...work.starts.values()].filter(({ isCrash }) => isCrash)]).toEqual([OURS, []]);
  });

  it('is looked for soon after its time to live, though the broker does not announce the expiry', async () => {
    const { clock, broker, keeper } = await besideAnother();
    broker.join('b/1'); // Its last renewal.
    // The broker counts from when it stored that, and in whole seconds: our beat still finds the key.
    await clock.advance(TTL_MS + 100);
    expect(keeper.owned).toEqual(OURS);
    broker.expire('b');
    await clock.advance(250 + CERTAIN_MS);
    expect(keeper.owned).toEqual(ALL);
  });

  it('is looked for as soon as its time to live is over, also between two beats', async () => {
    const { clock, broker, keeper } = await besideAnother();
    await clock.advance(TTL_MS - RENEW_MS + 500);
    broker.join('b/1'); // Its last renewal, half a second after a beat of ours.
    await clock.advance(TTL_MS);
    broker.expire('b');
    expect(keeper.owned).toEqual(OURS);
    await clock.advance(30 + CERTAIN_MS);
    expect(keeper.owned).toEqual(ALL);
  });

  it('is dead at once when another incarnation is stored under its id', async () => {
    const { broker, work, keeper } = setUpKeeper();
    broker.join('b/2');
    for (const shard of ALL) broker.lease(shard, 'b/1');
    await keeper.start();
    expect(keeper.owned).toEqual(OURS);
    for (const shard of OURS) expect(work.starts.get(shard)).toMatchObject({ isCrash: true });
  });

  it('is dead at once when it was a former life of ours', async () => {
    const { broker, work, keeper } = setUpKeeper();
    for (const shard of ALL) broker.lease(shard, 'a/0');
    await keeper.start();
    expect(keeper.owned).toEqual(ALL);
    expect(work.starts.get(0)).toMatchObject({ isCrash: true });
  });

  it('is not dead while it drains: it hands over its shards', async () => {
    const { clock, broker, keeper } = await besideAnother();
    broker.join('b/1', true);
    await clock.advance(2 * RENEW_MS);
    expect(keeper.owned).toEqual(OURS);
  });

  it(': its shards that are assigned to another member are left to that member', async () => {
    const { clock, broker, keeper } = setUpKeeper();
    broker.join('b/1');
    for (const shard of THEIRS) broker.lease(shard, 'c/1');
    await keeper.start();
    await clock.advance(TTL_MS + RENEW_MS);
    expect(keeper.owned).toEqual(OURS);
    expect(broker.asked.standing).toBe(0);
  });
});

describe('whether a process is gone', () => {
  it('is never true of ourselves, of a live process, or when it cannot be determined', async () => {
    const { clock, broker, keeper } = await besideAnother();
    await clock.advance(TTL_MS);
    expect(await keeper.isGone('a/1')).toBe(false);
    expect(await keeper.isGone('b/1')).toBe(false);
    broker.goAway();
    expect(await keeper.isGone('b/0')).toBe(false);
  });

  it('is true at once of a former life of a member, including our own', async () => {
    const { keeper } = await besideAnother();
    expect(await keeper.isGone('b/0')).toBe(true);
    expect(await keeper.isGone('a/0')).toBe(true);
  });

  it('is true of an absent process once we have stood for one whole time to live without a break', async () => {
    const { clock, keeper } = await startedKeeper();
    /** Asks all the time, as a caller does that waits for the answer. */
    const isGoneAfter = async (ms: number): Promise<boolean> => {
      for (let spentMs = 0; spentMs < ms; spentMs += APART_MS) {
        await keeper.isGone('c/1');
        await clock.advance(APART_MS);
      }
      return keeper.isGone('c/1');
    };
    expect(await keeper.isGone('c/1')).toBe(false);
    expect(await isGoneAfter(TTL_MS - APART_MS)).toBe(false);
    expect(await isGoneAfter(APART_MS)).toBe(true);
    keeper.interrupt();
    expect(await keeper.isGone('c/1')).toBe(false);
    expect(await isGoneAfter(TTL_MS)).toBe(false);
    expect(await isGoneAfter(RENEW_MS)).toBe(true);
  });

  it('is not true of an absent process when the connection was lost while we asked', async () => {
    const { clock, broker, keeper } = await startedKeeper();
    await clock.advance(TTL_MS);
    const answer = broker.delay('standing');
    const gone = keeper.isGone('c/1');
    keeper.interrupt();
    answer.pass();
    expect(await gone).toBe(false);
  });
});
