import { describe, expect, it } from 'vitest';
import { IdleCollector, type WorkerActivity } from './idle-collector.js';

function setUp() {
  let nowMs = 0;
  let collections = 0;
  let activity: WorkerActivity = { busy: 0, read: 0, lanes: 0 };
  const collector = new IdleCollector({
    activity: () => activity,
    collect: () => collections++,
    clock: { monotonic: () => nowMs },
  });
  /** Looks every five seconds. */
  const pass = (ms: number): number => {
    for (let passed = 0; passed < ms; passed += 5_000) {
      nowMs += 5_000;
      collector.look();
    }
    return collections;
  };
  const now = (changed: Partial<WorkerActivity>): void => void (activity = { ...activity, ...changed });
  return { pass, now };
}

describe('garbage of a busy time', () => {
  it('is collected once, after 20 s without activity', () => {
    const { pass, now } = setUp();
    now({ read: 7, lanes: 3 });
    expect([pass(20_000), pass(5_000), pass(3_600_000)]).toEqual([0, 1, 1]);
  });

  it('is not collected while turns run or wait, however long they take', () => {
    const { pass, now } = setUp();
    now({ read: 1, busy: 1 });
    expect(pass(3_600_000)).toBe(0);
    now({ busy: 0 });
    expect([pass(15_000), pass(10_000)]).toEqual([0, 1]);
  });

  it('is collected again when the sessions of that time are forgotten', () => {
    const { pass, now } = setUp();
    now({ read: 7, lanes: 3 });
    expect(pass(60_000)).toBe(1);
    now({ lanes: 0 });
    expect([pass(20_000), pass(5_000)]).toEqual([1, 2]);
  });

  it('is not collected in a worker that was never busy', () => {
    expect(setUp().pass(3_600_000)).toBe(0);
  });
});
