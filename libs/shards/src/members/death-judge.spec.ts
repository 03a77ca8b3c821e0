import { describe, expect, it } from 'vitest';
import { ManualClock } from '#testing';
import { APART_MS, DeathJudge } from './death-judge.js';

const TTL_MS = 10_000;
const GAP_MS = 4_000;

/** A judge of `b/1`, whose key is not there; the spec sets what our renewals and our listening say. */
function setUp() {
  const clock = new ManualClock();
  const bucket = { standing: undefined as string | undefined, isAway: false, beforeAnswer: async () => {} };
  const membership = { canJudge: true, hasSettled: true, gapMs: GAP_MS, renewedAt: clock.monotonic() - 1, asked: 0 };
  const heard = { silentMs: TTL_MS, silentOf: {} as Record<string, number> };
  const judge = new DeathJudge({
    incarnation: 'a/1',
    ttlMs: TTL_MS,
    clock,
    members: {
      standing: async () => {
        await bucket.beforeAnswer();
        if (bucket.isAway) throw new Error('away');
        return bucket.standing;
      },
    },
    membership: {
      get canJudge() {
        return membership.canJudge;
      },
      get hasSettled() {
        return membership.hasSettled;
      },
      gapMs: GAP_MS,
      wasRenewedSince: (monotonic) => membership.renewedAt >= monotonic,
      renewSoon: () => void membership.asked++,
    },
    view: { silentMs: (incarnation) => heard.silentOf[incarnation] ?? heard.silentMs },
  });
  const isGone = (): Promise<boolean> => judge.isGone('b/1');
  /** Time passes, and a renewal of ours is answered at its end. */
  const renewedAfter = async (ms: number): Promise<void> => {
    await clock.advance(ms);
    membership.renewedAt = clock.monotonic();
  };
  return { clock, bucket, membership, heard, judge, isGone, renewedAfter };
}

describe('a process is dead (L8)', () => {
  it('after two absences some time apart with a renewal of our own in between, which the judge sends', async () => {
    const { isGone, membership, renewedAfter } = setUp();
    expect(await isGone()).toBe(false);
    expect(membership.asked).toBe(1);
    await renewedAfter(APART_MS);
    expect(await isGone()).toBe(true);
    expect(membership.asked).toBe(1);
  });

  it('not after two absences at the same moment', async () => {
    const { isGone, renewedAfter } = setUp();
    await isGone();
    await renewedAfter(APART_MS - 1);
    expect(await isGone()).toBe(false);
    await renewedAfter(1);
    expect(await isGone()).toBe(true);
  });

  it('not after an absence of long ago: the process may have come and gone between two looks', async () => {
    const { isGone, membership, renewedAfter } = setUp();
    await isGone();
    await renewedAfter(TTL_MS);
    expect(await isGone()).toBe(false);
    expect(membership.asked).toBe(2);
    await renewedAfter(APART_MS);
    expect(await isGone()).toBe(true);
  });

  it('also after looks that are seconds apart, as in a slow round over many absent processes: its key would still be there', async () => {
    const { isGone, renewedAfter } = setUp();
    await isGone();
    await renewedAfter(TTL_MS / 2);
    expect(await isGone()).toBe(true);
  });

  it('not after two looks whose answers are a time to live apart', async () => {
    const { clock, bucket, isGone, renewedAfter } = setUp();
    await isGone();
    await renewedAfter(TTL_MS - 100);
    bucket.beforeAnswer = () => clock.advance(100);
    expect(await isGone()).toBe(false);
  });

  it('not while no renewal of ours was answered since the first: a replaced leader answers with old data', async () => {
    const { clock, isGone, renewedAfter } = setUp();
    await isGone();
    await clock.advance(2_000);
    expect(await isGone()).toBe(false);
    await renewedAfter(1);
    expect(await isGone()).toBe(true);
  });

  it('not when its key was there in between: then the judgement starts again', async () => {
    const { bucket, isGone, renewedAfter } = setUp();
    await isGone();
    await renewedAfter(APART_MS);
    bucket.standing = 'b/1';
    expect(await isGone()).toBe(false);
    bucket.standing = undefined;
    await renewedAfter(APART_MS);
    expect(await isGone()).toBe(false);
    await renewedAfter(APART_MS);
    expect(await isGone()).toBe(true);
  });

  it('not when our connection was lost in between, or while the leader was asked', async () => {
    const { bucket, judge, isGone, renewedAfter } = setUp();
    await isGone();
    judge.interrupt();
    await renewedAfter(APART_MS);
    expect(await isGone()).toBe(false);
    await renewedAfter(APART_MS);
    bucket.beforeAnswer = async () => judge.interrupt();
    expect(await isGone()).toBe(false);
    bucket.beforeAnswer = async () => {};
    expect(await isGone()).toBe(false);
  });

  it('at once when another incarnation is stored, and never when it is our own', async () => {
    const { bucket, membership, judge, isGone } = setUp();
    bucket.standing = 'b/2';
    [membership.canJudge, membership.hasSettled] = [false, false];
    expect(await isGone()).toBe(true);
    expect(await judge.isGone('a/1')).toBe(false);
  });

  it('not when a former incarnation is stored: that is the answer of a leader that stopped before the newer one was put', async () => {
    const { bucket, heard, isGone } = setUp();
    bucket.standing = 'b/0';
    heard.silentOf = { 'b/0': 3_000, 'b/1': 1_000 };
    expect(await isGone()).toBe(false);
    // A successor that we cannot hear; no sign of its former life for a whole time to live.
    heard.silentOf = { 'b/0': 2 * TTL_MS, 'b/1': TTL_MS };
    expect(await isGone()).toBe(true);
    // A successor in the usual case.
    heard.silentOf = { 'b/0': 10, 'b/1': 1_000 };
    expect(await isGone()).toBe(true);
  });

  it('not when the broker does not answer', async () => {
    const { bucket, isGone, renewedAfter } = setUp();
    await isGone();
    await renewedAfter(APART_MS);
    bucket.isAway = true;
    expect(await isGone()).toBe(false);
  });
});

describe('what must be known besides two absences', () => {
  const cases: [string, { silentMs: number; canJudge: boolean; hasSettled: boolean }, boolean][] = [
    ['silence of a time to live, and a settled bucket', { silentMs: TTL_MS, canJudge: false, hasSettled: true }, true],
    [
      'silence of a time to live, and a bucket that is just back',
      { silentMs: TTL_MS, canJudge: false, hasSettled: false },
      false,
    ],
    ['a shorter silence, and a whole time of answers', { silentMs: GAP_MS, canJudge: true, hasSettled: true }, true],
    ['a shorter silence, and a settled bucket', { silentMs: TTL_MS - 1, canJudge: false, hasSettled: true }, false],
    [
      'a sign of life lately, whatever the bucket says',
      { silentMs: GAP_MS - 1, canJudge: true, hasSettled: true },
      false,
    ],
  ];
  it.each(cases)('%s', async (_what, { silentMs, canJudge, hasSettled }, isDead) => {
    const { heard, membership, isGone, renewedAfter } = setUp();
    await isGone();
    await renewedAfter(APART_MS);
    heard.silentMs = silentMs;
    [membership.canJudge, membership.hasSettled] = [canJudge, hasSettled];
    expect(await isGone()).toBe(isDead);
  });

  it('no silence for a process that we hear but that stores nothing for a whole time to live: its sessions must not wait for ever', async () => {
    const { heard, isGone, renewedAfter } = setUp();
    heard.silentMs = 0;
    for (let absentMs = 0; absentMs < TTL_MS; absentMs += 500) {
      expect(await isGone()).toBe(false);
      await renewedAfter(500);
    }
    expect(await isGone()).toBe(true);
  });

  it('keeps no entries for incarnations that are not looked for any more', async () => {
    const { judge, renewedAfter } = setUp();
    for (let life = 0; life < 50; life++) await judge.isGone(`c/${life}`);
    await renewedAfter(TTL_MS);
    await judge.isGone('c/50');
    expect((judge as unknown as { absences: Map<string, unknown> }).absences.size).toBe(1);
  });

  it('a member that may not judge sends no renewal for it', async () => {
    const { membership, isGone } = setUp();
    membership.hasSettled = false;
    await isGone();
    expect(membership.asked).toBe(0);
  });
});
