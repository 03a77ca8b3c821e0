import { describe, expect, it } from 'vitest';
import { ManualClock, settled } from '#testing';
import { ListLogger, ManualMembers } from '../manual-ports.fixture.js';
import { Membership, renewalTryMs, type MembershipOptions } from './membership.js';

const TTL_MS = 10_000;
const RENEW_MS = 2_000;
/** A tenth of the time to live is kept as a margin. */
const STANDS_MS = 9_000;
const WRITTEN = { kind: 'written', revision: 1 } as const;
const UNCLEAR = { kind: 'unclear' } as const;

function setUp(options: Partial<MembershipOptions> = {}) {
  const clock = new ManualClock();
  const store = new ManualMembers();
  const log = new ListLogger();
  const told: string[] = [];
  const membership = new Membership({
    ...{ store, clock, log },
    id: 'a',
    incarnation: 'a/1',
    ttlMs: TTL_MS,
    renewMs: RENEW_MS,
    describe: () => ({ capacity: 7 }),
    onReturn: () => void told.push(`return, standing ${membership.isStanding}`),
    onReplaced: (by) => void told.push(`replaced by ${by}`),
    ...options,
  });
  return { clock, store, log, told, membership };
}

/** Joined, at the moment that its key was sent; renewals wait for the spec. */
async function joined(options: Partial<MembershipOptions> = {}) {
  const parts = setUp(options);
  parts.store.auto = WRITTEN;
  await parts.membership.join();
  parts.store.auto = undefined;
  return parts;
}

describe('a process that joins', () => {
  it('puts its key in place of a former incarnation, with its time to live and its description', async () => {
    const { store, membership } = setUp();
    void membership.join();
    const value = { v: 1, capacity: 7, incarnation: 'a/1', draining: false };
    expect(store.puts).toMatchObject([{ id: 'a', value, ttlMs: TTL_MS, takesOver: true }]);
  });

  it('stands once its key is stored, and not before', async () => {
    const { store, told, membership } = setUp();
    const joining = membership.join();
    expect(membership.isStanding).toBe(false);
    store.last.answer();
    await joining;
    expect(membership.isStanding).toBe(true);
    expect(told).toEqual([]);
  });

  it('tries until the broker is there', async () => {
    const { clock, store, membership } = setUp();
    let isJoined = false;
    void membership.join().then(() => (isJoined = true));
    for (let tries = 1; tries <= 3; tries++) {
      store.last.answer(UNCLEAR);
      await clock.advance(249);
      expect([store.puts.length, isJoined]).toEqual([tries, false]);
      await clock.advance(1);
      expect(store.last).toMatchObject({ takesOver: true });
      expect(store.puts.length).toBe(tries + 1);
    }
    store.last.answer();
    await settled();
    expect([isJoined, membership.isStanding]).toEqual([true, true]);
  });

  it('that leaves while it waits for the broker leaves no timer', async () => {
    const { clock, store, membership } = setUp();
    void membership.join();
    store.last.answer(UNCLEAR);
    await settled();
    await membership.leave();
    expect(clock.waiting).toBe(0);
    await clock.advance(60_000);
    expect(store.puts).toHaveLength(1);
  });
});

describe('a membership', () => {
  it('is renewed after every answer, and never in place of another incarnation', async () => {
    const { clock, store } = await joined();
    for (let renewals = 1; renewals <= 4; renewals++) {
      await clock.advance(RENEW_MS - 1);
      expect(store.puts).toHaveLength(renewals);
      await clock.advance(1);
      expect(store.puts).toHaveLength(renewals + 1);
      expect(store.last).toMatchObject({ id: 'a', ttlMs: TTL_MS, takesOver: false });
      store.last.answer();
    }
  });

  it('is renewed at a period from sending to sending: slow answers must not cause gaps', async () => {
    const { clock, store } = await joined();
    await clock.advance(RENEW_MS); // Sent.
    await clock.advance(RENEW_MS / 4);
    store.last.answer();
    await clock.advance((RENEW_MS * 3) / 4 - 1);
    expect(store.puts).toHaveLength(2);
    await clock.advance(1);
    expect(store.puts).toHaveLength(3);
  });

  it('rests for half a period after each answer, however slow', async () => {
    const { clock, store } = await joined();
    await clock.advance(RENEW_MS); // Sent.
    await clock.advance(2 * RENEW_MS);
    store.last.answer();
    await clock.advance(RENEW_MS / 2 - 1);
    expect(store.puts).toHaveLength(2);
    await clock.advance(1);
    expect(store.puts).toHaveLength(3);
  });

  it('whose answers take a second each may judge, since the bucket answers all the time', async () => {
    const { clock, store, membership } = await joined();
    const put = store.put.bind(store);
    store.put = (...args) => {
      const answer = put(...args);
      clock.after(1_100, store.last.answer);
      return answer;
    };
    await clock.advance(3 * TTL_MS);
    expect([membership.canJudge, membership.hasSettled]).toEqual([true, true]);
  });

  it('whose renewal is unclear tries again soon, until it is clear', async () => {
    const { clock, store } = await joined();
    await clock.advance(RENEW_MS);
    store.last.answer(UNCLEAR);
    await clock.advance(249);
    expect(store.puts).toHaveLength(2);
    await clock.advance(1);
    expect(store.puts).toHaveLength(3);
    store.last.answer();
    await clock.advance(RENEW_MS - 1);
    expect(store.puts).toHaveLength(3);
    await clock.advance(1);
    expect(store.puts).toHaveLength(4);
  });

  it('lapses by its own clock, a tenth of the time to live before the broker expires it (L4)', async () => {
    const { clock, store, membership } = await joined();
    await clock.advance(STANDS_MS - 1);
    expect(membership.isStanding).toBe(true);
    await clock.advance(1);
    expect(membership.isStanding).toBe(false);
    expect(store.puts).toHaveLength(2);
  });

  it('lapses at least 200 ms before that, even with a short time to live (L4)', async () => {
    const { clock, membership } = await joined({ ttlMs: 1_000, renewMs: 300 });
    await clock.advance(799);
    expect(membership.isStanding).toBe(true);
    await clock.advance(1);
    expect(membership.isStanding).toBe(false);
  });

  it('counts from before its renewal was sent, however late the answer comes (L4)', async () => {
    const { clock, store, membership } = await joined();
    await clock.advance(RENEW_MS); // Sent.
    await clock.advance(4_000);
    store.last.answer();
    await settled();
    await clock.advance(STANDS_MS - 4_000 - 1);
    expect(membership.isStanding).toBe(true);
    expect(store.puts).toHaveLength(3);
    await clock.advance(1);
    expect(membership.isStanding).toBe(false);
  });

  it('does not stand when its first answer came too late', async () => {
    const { clock, store, membership } = setUp();
    void membership.join();
    await clock.advance(STANDS_MS);
    store.last.answer();
    await settled();
    expect(membership.isStanding).toBe(false);
  });

  it('lapses when the wall clock is set forward: no clock proves otherwise (L4)', async () => {
    const { clock, membership } = await joined();
    clock.setWall(STANDS_MS - 1);
    expect(membership.isStanding).toBe(true);
    clock.setWall(1);
    expect(membership.isStanding).toBe(false);
  });

  it('lapses when the machine slept for so long (L4)', async () => {
    const { clock, membership } = await joined();
    await clock.advance(1_000);
    clock.sleep(STANDS_MS - 1_000);
    expect(membership.isStanding).toBe(false);
  });

  it('lapses no later because the wall clock was set back (L4)', async () => {
    const { clock, membership } = await joined();
    clock.setWall(-3_600_000);
    await clock.advance(STANDS_MS - 1);
    expect(membership.isStanding).toBe(true);
    await clock.advance(1);
    expect(membership.isStanding).toBe(false);
  });

  it('that comes back reports it once, before anything may begin', async () => {
    const { clock, store, told, log, membership } = await joined();
    await clock.advance(STANDS_MS);
    expect(membership.isStanding).toBe(false);
    await clock.advance(500);
    store.last.answer(UNCLEAR);
    await clock.advance(250);
    expect(told).toEqual([]);
    store.last.answer();
    await settled();
    expect(told).toEqual(['return, standing false']);
    expect(membership.isStanding).toBe(true);
    expect(log.of('warn')).toHaveLength(1);
    store.auto = WRITTEN;
    await clock.advance(10 * RENEW_MS);
    expect(told).toHaveLength(1);
  });

  it('that was unclear for a while but never lapsed does not report a return', async () => {
    const { clock, store, told, membership } = await joined();
    store.auto = UNCLEAR;
    await clock.advance(STANDS_MS - 300);
    store.auto = WRITTEN;
    await clock.advance(RENEW_MS);
    expect(membership.isStanding).toBe(true);
    expect(told).toEqual([]);
  });
});

describe('the absence of another member may count as its death', () => {
  it('after one whole time to live, counted from when the key was sent, and not before', async () => {
    const { clock, store, membership } = await joined();
    store.auto = WRITTEN;
    await clock.advance(TTL_MS - 1);
    expect(membership.canJudge).toBe(false);
    await clock.advance(1);
    expect(membership.canJudge).toBe(true);
  });

  it('after one whole time to live from the first renewal after the connection was lost', async () => {
    const { clock, store, membership } = await joined();
    store.auto = WRITTEN;
    await clock.advance(TTL_MS + 500);
    expect(membership.canJudge).toBe(true);
    membership.interrupt();
    expect([membership.isStanding, membership.canJudge]).toEqual([true, false]);
    await clock.advance(1_500); // The next renewal.
    await clock.advance(TTL_MS - 1);
    expect(membership.canJudge).toBe(false);
    await clock.advance(1);
    expect(membership.canJudge).toBe(true);
  });

  it('also when a renewal was in flight as the connection was lost: what was sent before proves nothing', async () => {
    const { clock, store, membership } = await joined();
    await clock.advance(RENEW_MS); // Sent.
    membership.interrupt();
    await clock.advance(4_000);
    store.auto = WRITTEN;
    store.last.answer();
    await clock.advance(TTL_MS - 4_000);
    expect(membership.canJudge).toBe(false);
  });

  it('after one whole time to live since a lapse ended', async () => {
    const { clock, store, membership } = await joined();
    store.auto = WRITTEN;
    await clock.advance(TTL_MS);
    store.auto = undefined;
    await clock.advance(STANDS_MS + RENEW_MS);
    expect([membership.isStanding, membership.canJudge]).toEqual([false, false]);
    store.last.answer(UNCLEAR);
    store.auto = WRITTEN;
    await clock.advance(250);
    expect([membership.isStanding, membership.canJudge]).toEqual([true, false]);
    await clock.advance(TTL_MS - 1);
    expect(membership.canJudge).toBe(false);
    await clock.advance(1);
    expect(membership.canJudge).toBe(true);
  });

  it('only while our own membership stands', async () => {
    const { clock, membership, store } = await joined();
    store.auto = WRITTEN;
    await clock.advance(TTL_MS);
    store.auto = undefined;
    clock.sleep(TTL_MS);
    expect(membership.canJudge).toBe(false);
  });

  it('no sooner when the wall clock is set, forward or back', async () => {
    for (const byMs of [3_600_000, -3_600_000]) {
      const { clock, store, membership } = await joined();
      store.auto = WRITTEN;
      clock.setWall(byMs);
      await clock.advance(TTL_MS - 1);
      expect(membership.canJudge).toBe(false);
    }
  });

  it('no sooner because the machine slept', async () => {
    const { clock, store, membership } = await joined();
    store.auto = WRITTEN;
    await clock.advance(1_000);
    clock.sleep(3_600_000);
    await clock.advance(TTL_MS - 1_001);
    expect(membership.canJudge).toBe(false);
  });
});

describe('a gap between answered renewals', () => {
  it('of twice their period stops the judgement of others, though the membership stands (L8)', async () => {
    const { clock, store, membership } = await joined();
    store.auto = WRITTEN;
    await clock.advance(2 * TTL_MS); // Renewed at this moment.
    expect([membership.canJudge, membership.hasSettled]).toEqual([true, true]);
    store.auto = UNCLEAR;
    await clock.advance(membership.gapMs);
    expect(membership.canJudge).toBe(true);
    await clock.advance(1);
    expect([membership.isStanding, membership.canJudge, membership.hasSettled]).toEqual([true, false, false]);
  });

  it('starts the unbroken time again, from the renewal that ended it (L8)', async () => {
    const { clock, store, told, membership } = await joined();
    store.auto = WRITTEN;
    await clock.advance(2 * TTL_MS);
    store.auto = UNCLEAR;
    await clock.advance(membership.gapMs + 250);
    store.auto = WRITTEN;
    await clock.advance(250);
    expect([membership.isStanding, membership.canJudge, told]).toEqual([true, false, []]);
    await clock.advance(TTL_MS - 251);
    expect(membership.canJudge).toBe(false);
    await clock.advance(251);
    expect(membership.canJudge).toBe(true);
  });

  it('does not arise when one or two renewals were not answered in time', async () => {
    const { clock, store, membership } = await joined();
    store.auto = WRITTEN;
    await clock.advance(2 * TTL_MS);
    store.auto = UNCLEAR;
    await clock.advance(RENEW_MS + 500);
    store.auto = WRITTEN;
    await clock.advance(250);
    expect(membership.canJudge).toBe(true);
  });

  it('does not arise from a change of the wall clock', async () => {
    const { clock, store, membership } = await joined();
    store.auto = WRITTEN;
    await clock.advance(2 * TTL_MS);
    clock.setWall(membership.gapMs + 1);
    expect([membership.isStanding, membership.canJudge]).toEqual([true, true]);
  });

  it('is over when every live member has had its renewal through, long before a time to live', async () => {
    const { clock, store, membership } = await joined();
    store.auto = WRITTEN;
    await clock.advance(RENEW_MS - 1);
    expect(membership.hasSettled).toBe(false);
    await clock.advance(1);
    expect([membership.hasSettled, membership.canJudge]).toEqual([true, false]);
    membership.interrupt();
    expect(membership.hasSettled).toBe(false);
  });

  it('is over so long after an answer, not after a request that was sent before there was a leader (L8)', async () => {
    const { clock, store, membership } = await joined();
    membership.interrupt();
    await clock.advance(RENEW_MS); // Sent.
    await clock.advance(1_500);
    store.auto = WRITTEN;
    store.last.answer();
    await clock.advance(RENEW_MS - 1);
    expect(membership.hasSettled).toBe(false);
    await clock.advance(1);
    expect(membership.hasSettled).toBe(true);
  });

  it('is over no sooner than two tries take, even with short times', async () => {
    const { clock, store, membership } = await joined({ ttlMs: 2_000, renewMs: 400 });
    store.auto = WRITTEN;
    await clock.advance(2 * (renewalTryMs(400) + 250) - 1);
    expect(membership.hasSettled).toBe(false);
    await clock.advance(1);
    expect(membership.hasSettled).toBe(true);
  });

  it('does not arise while each answer is slow, however often it renews: otherwise a death would never be judged', async () => {
    const { clock, store, membership } = await joined({ renewMs: 100 });
    const put = store.put.bind(store);
    store.put = (...args) => {
      const answer = put(...args);
      clock.after(60, store.last.answer);
      return answer;
    };
    await clock.advance(2 * TTL_MS);
    expect([membership.canJudge, membership.hasSettled]).toEqual([true, true]);
  });

  it('is at most half a time to live: otherwise another key that was renewed in time would expire within it', async () => {
    const { membership } = await joined({ ttlMs: 3_000, renewMs: 1_000 });
    expect(membership.gapMs).toBe(1_500);
  });
});

describe('a renewal that is requested at once', () => {
  it('is sent at once, and the next one a period later', async () => {
    const { clock, store, membership } = await joined();
    store.auto = WRITTEN;
    await clock.advance(500);
    membership.renewSoon();
    await clock.advance(1);
    expect(store.puts).toHaveLength(2);
    await clock.advance(RENEW_MS - 2);
    expect(store.puts).toHaveLength(2);
    await clock.advance(1);
    expect(store.puts).toHaveLength(3);
  });

  it('is sent after one that is in flight, which proves nothing about what was seen since', async () => {
    const { clock, store, membership } = await joined();
    await clock.advance(RENEW_MS); // Sent.
    await clock.advance(10);
    const seenAt = clock.monotonic();
    membership.renewSoon();
    await clock.advance(10);
    expect(store.puts).toHaveLength(2);
    store.last.answer();
    await clock.advance(10);
    expect([store.puts.length, membership.wasRenewedSince(seenAt)]).toEqual([3, false]);
    store.last.answer();
    await settled();
    expect(membership.wasRenewedSince(seenAt)).toBe(true);
    await clock.advance(3 * RENEW_MS);
    // One timer, as before.
    expect(store.puts).toHaveLength(4);
  });

  it('is not sent by a member that has left', async () => {
    const { clock, store, membership } = await joined();
    await membership.leave();
    membership.renewSoon();
    await clock.advance(RENEW_MS);
    expect([store.puts.length, clock.waiting]).toEqual([1, 0]);
  });
});

describe('a membership when another incarnation is stored under its id', () => {
  it('is over: it reports that once, puts nothing more and waits for nothing', async () => {
    const { clock, store, told, membership } = await joined();
    await clock.advance(RENEW_MS);
    store.last.answer({ kind: 'replaced', by: 'a/2' });
    await settled();
    expect(told).toEqual(['replaced by a/2']);
    expect([membership.isStanding, membership.canJudge, clock.waiting]).toEqual([false, false, 0]);
    store.auto = { kind: 'replaced', by: 'a/2' };
    await clock.advance(60_000);
    await membership.drain();
    expect(told).toEqual(['replaced by a/2']);
  });

  it('is also over when it had lapsed before: it does not come back', async () => {
    const { clock, store, told, membership } = await joined();
    await clock.advance(STANDS_MS);
    store.last.answer({ kind: 'replaced', by: 'a/2' });
    await settled();
    expect(told).toEqual(['replaced by a/2']);
    expect(membership.isStanding).toBe(false);
  });
});

describe('a process that drains', () => {
  it('says so at once, keeps standing, and says so with every renewal', async () => {
    const { clock, store, membership } = await joined();
    await clock.advance(500);
    const draining = membership.drain();
    await settled();
    expect(store.puts).toHaveLength(2);
    expect(store.last).toMatchObject({ value: { draining: true, incarnation: 'a/1' }, takesOver: false });
    store.last.answer();
    await draining;
    expect(membership.isStanding).toBe(true);
    await clock.advance(RENEW_MS);
    expect(store.last.value.draining).toBe(true);
  });

  it('says so right after a renewal that was in flight with the old value', async () => {
    const { clock, store, membership } = await joined();
    await clock.advance(RENEW_MS);
    const draining = membership.drain();
    await settled();
    expect(store.puts).toHaveLength(2);
    store.last.answer();
    await settled();
    expect(store.puts).toHaveLength(3);
    expect(store.puts.map(({ value }) => value.draining)).toEqual([false, false, true]);
    store.last.answer();
    await draining;
  });
});

describe('a process that leaves', () => {
  it('removes its key, no longer stands, and leaves no timer', async () => {
    const { clock, store, membership } = await joined();
    await membership.leave();
    expect(store.removed).toEqual(['a']);
    expect([membership.isStanding, clock.waiting]).toEqual([false, 0]);
  });

  it('during a renewal stops standing at once, and removes its key after the renewal: otherwise the key would be back', async () => {
    const { clock, store, told, membership } = await joined();
    await clock.advance(RENEW_MS);
    const leaving = membership.leave();
    expect(membership.isStanding).toBe(false);
    await settled();
    expect(store.removed).toEqual([]);
    store.last.answer();
    await leaving;
    expect(store.removed).toEqual(['a']);
    expect([membership.isStanding, clock.waiting, told]).toEqual([false, 0, []]);
  });

  it('during a renewal that finds another incarnation does not report a replacement', async () => {
    const { clock, store, told, membership } = await joined();
    await clock.advance(RENEW_MS);
    const leaving = membership.leave();
    store.last.answer({ kind: 'replaced', by: 'a/2' });
    await leaving;
    expect(told).toEqual([]);
    expect(clock.waiting).toBe(0);
  });
});
