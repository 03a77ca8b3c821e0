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

describe('a holder that is there', () => {
  it('is looked for once, however many ask while that look is on its way', async () => {
    const { looks, ask } = setUp();
    const answers = ask(1_000);
    await settled();
    expect(looks).toHaveLength(1);
    looks[0]?.answer(false);
    expect(new Set(await answers)).toEqual(new Set([false]));
    expect(looks).toHaveLength(1);
  });

  it('is not looked for again for half a second, and then is', async () => {
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

  it('is timed by the clock that nobody sets', async () => {
    const { clock, looks, ask } = setUp();
    const first = ask(1);
    looks[0]?.answer(false);
    await first;
    clock.setWall(-3_600_000);
    await clock.advance(500);
    void ask(1);
    expect(looks).toHaveLength(2);
  });

  it('says nothing of another holder', async () => {
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

describe('a holder that is gone', () => {
  it('is so for who asked before it was looked for; all others share another look (L1)', async () => {
    const { looks, ask } = setUp();
    const first = ask(1);
    const others = ask(1_000);
    looks[0]?.answer(true);
    expect(await first).toEqual([true]);
    await settled();
    expect(looks).toHaveLength(2);
    // It has come back in between.
    looks[1]?.answer(false);
    expect(new Set(await others)).toEqual(new Set([false]));
    expect(looks).toHaveLength(2);
  });

  it('is looked for with the next question: it may come back as the same incarnation (L1)', async () => {
    const { looks, ask } = setUp();
    const first = ask(1);
    looks[0]?.answer(true);
    await first;
    const second = ask(1);
    looks[1]?.answer(false);
    expect(await second).toEqual([false]);
  });

  it('was there before: what was known is not kept beyond its time for that', async () => {
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
  it('tells nobody that the holder is gone, and nothing of it is kept', async () => {
    const { looks, ask } = setUp();
    const first = ask(2);
    looks[0]?.fail();
    expect(await first).toEqual([false, false]);
    const second = ask(1);
    looks[1]?.answer(true);
    expect(await second).toEqual([true]);
  });
});
