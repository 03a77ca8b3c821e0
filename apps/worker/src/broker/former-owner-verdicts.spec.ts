import { describe, expect, it } from 'vitest';
import { ManualClock, settled } from '#testing';
import { FormerOwnerVerdicts } from './former-owner-verdicts.js';

interface Look {
  readonly holder: string;
  answer(isGone: boolean): void;
  fail(): void;
}

function setUp() {
  const clock = new ManualClock();
  const looks: Look[] = [];
  const verdicts = new FormerOwnerVerdicts(
    (holder) =>
      new Promise((resolve, reject) => {
        looks.push({ holder, answer: resolve, fail: () => reject(new Error('away')) });
      }),
    clock,
  );
  const ask = (times: number, holder = 'a/1'): Promise<boolean[]> =>
    Promise.all(Array.from({ length: times }, () => verdicts.isGone(holder)));
  return { clock, looks, verdicts, ask };
}

describe('a former owner that is alive', () => {
  it('is looked up once for all callers that ask during the look', async () => {
    const { looks, ask } = setUp();
    const answers = ask(1_000);
    await settled();
    expect(looks).toHaveLength(1);
    looks[0]?.answer(false);
    expect(new Set(await answers)).toEqual(new Set([false]));
    expect(looks).toHaveLength(1);
  });

  it('is not looked up again for half a second, and then is', async () => {
    const { clock, looks, ask } = setUp();
    const first = ask(1);
    looks[0]?.answer(false);
    await first;
    await clock.advance(499);
    expect([await ask(3), looks.length]).toEqual([[false, false, false], 1]);
    await clock.advance(1);
    const later = ask(3);
    await settled();
    expect(looks).toHaveLength(2);
    looks[1]?.answer(false);
    expect(await later).toEqual([false, false, false]);
  });

  it('uses the monotonic clock', async () => {
    const { clock, looks, ask } = setUp();
    const first = ask(1);
    looks[0]?.answer(false);
    await first;
    clock.setWall(-3_600_000);
    await clock.advance(500);
    void ask(1);
    expect(looks).toHaveLength(2);
  });

  it('says nothing about another former owner', async () => {
    const { looks, ask } = setUp();
    const both = Promise.all([ask(2, 'a/1'), ask(2, 'a/2')]);
    await settled();
    expect(looks.map(({ holder }) => holder)).toEqual(['a/1', 'a/2']);
    looks[0]?.answer(false);
    looks[1]?.answer(true);
    await settled();
    looks[2]?.answer(true);
    expect(await both).toEqual([
      [false, false],
      [true, true],
    ]);
  });
});

describe('a former owner that is gone', () => {
  it('counts as gone only for callers that asked before the look; all others share a new look (L1)', async () => {
    const { looks, ask } = setUp();
    const first = ask(1);
    const others = ask(1_000);
    looks[0]?.answer(true);
    expect(await first).toEqual([true]);
    await settled();
    expect(looks).toHaveLength(2);
    // It came back meanwhile.
    looks[1]?.answer(false);
    expect(new Set(await others)).toEqual(new Set([false]));
    expect(looks).toHaveLength(2);
  });

  it('is looked up again for the next call: it may return as the same incarnation (L1)', async () => {
    const { looks, ask } = setUp();
    const first = ask(1);
    looks[0]?.answer(true);
    await first;
    const second = ask(1);
    looks[1]?.answer(false);
    expect(await second).toEqual([false]);
  });

  it('was alive before: that answer is not kept longer because of the new one', async () => {
    const { clock, looks, ask } = setUp();
    const first = ask(1);
    looks[0]?.answer(false);
    await first;
    await clock.advance(500);
    const second = ask(1);
    looks[1]?.answer(true);
    expect(await second).toEqual([true]);
  });
});

describe('a look that fails', () => {
  it('does not report the former owner as gone, and is not cached', async () => {
    const { looks, ask } = setUp();
    const first = ask(2);
    looks[0]?.fail();
    expect(await first).toEqual([false, false]);
    const second = ask(1);
    looks[1]?.answer(true);
    expect(await second).toEqual([true]);
  });
});
