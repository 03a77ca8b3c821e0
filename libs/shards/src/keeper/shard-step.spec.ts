import { describe, expect, it } from 'vitest';
import { BUSY_PATIENCE_MS, nextStep, type DutyState, type ShardSituation, type ShardStep } from './shard-step.js';

/** Free, assigned to us, and nothing prevents taking it. */
const free: ShardSituation = {
  state: 'away',
  isAssignedToUs: true,
  hasAssignee: true,
  owner: 'none',
  isDraining: false,
  mayAcquire: true,
  running: 0,
  unwantedMs: 0,
};
/** Ours, idle, and now assigned to another member. */
const unwanted: ShardSituation = { ...free, state: 'owned', isAssignedToUs: false };

type Rule = [title: string, situation: Partial<ShardSituation>, step: ShardStep];

describe('a shard that is not ours', () => {
  it.each<Rule>([
    ['and has no other owner is acquired', {}, 'acquire'],
    ['and whose owner is dead is acquired', { owner: 'dead' }, 'acquire'],
    ['and whose owner is alive is left alone: it gives it away by itself', { owner: 'alive' }, 'nothing'],
    ['and whose owner was not seen is acquired only after a judgement', { owner: 'unsure' }, 'judge'],
    ['and whose lease cannot be read is left alone: its owner may be alive', { owner: 'unknown' }, 'nothing'],
    ['and is assigned to another member is left alone', { isAssignedToUs: false }, 'nothing'],
    ['and is assigned to another member is not judged', { isAssignedToUs: false, owner: 'unsure' }, 'nothing'],
    [
      'and is assigned to another member is left alone, even when its owner is dead',
      { isAssignedToUs: false, owner: 'dead' },
      'nothing',
    ],
    ['is not acquired while we may not', { mayAcquire: false }, 'nothing'],
    ['is not taken from the dead while we may not', { mayAcquire: false, owner: 'dead' }, 'nothing'],
    ['is not judged while we may not acquire it', { mayAcquire: false, owner: 'unsure' }, 'nothing'],
    ['is not acquired while we drain', { isDraining: true }, 'nothing'],
    ['is not judged while we drain', { isDraining: true, owner: 'unsure' }, 'nothing'],
    ['is never given up, however long it is unwanted', { isAssignedToUs: false, unwantedMs: 60_000 }, 'nothing'],
  ])('%s', (_title, situation, step) => {
    expect(nextStep({ ...free, ...situation })).toBe(step);
  });
});

describe('a shard that is ours', () => {
  it.each<Rule>([
    ['and assigned to us is kept', { isAssignedToUs: true }, 'nothing'],
    ['and assigned to us is kept, whatever runs', { isAssignedToUs: true, running: 9, unwantedMs: 60_000 }, 'nothing'],
    ['and assigned to another member is given up at once while nothing runs', {}, 'release'],
    ['and busy may finish its turns first', { running: 1 }, 'nothing'],
    ['and busy may take a while to finish them', { running: 1, unwantedMs: BUSY_PATIENCE_MS - 1 }, 'nothing'],
    ['and busy for longer is given up all the same', { running: 1, unwantedMs: BUSY_PATIENCE_MS }, 'release'],
    ['and assigned to no member is kept', { hasAssignee: false }, 'nothing'],
    ['and assigned to no member is kept, however long', { hasAssignee: false, unwantedMs: 60_000 }, 'nothing'],
    ['is given up by a process that drains, busy or not', { isDraining: true, running: 5 }, 'release'],
    [
      'is given up by a process that drains, even when no member takes it',
      { isDraining: true, hasAssignee: false },
      'release',
    ],
    ['is given up even while we may acquire nothing', { mayAcquire: false }, 'release'],
    ['is given up whichever owner the lease names: the write finds out', { owner: 'alive' }, 'release'],
  ])('%s', (_title, situation, step) => {
    expect(nextStep({ ...unwanted, ...situation })).toBe(step);
  });
});

describe('a shard that is on its way', () => {
  const onItsWay: DutyState[] = ['acquiring', 'opening', 'releasing'];
  it.each(onItsWay)('%s: is left alone until the move is over, whatever changed meanwhile', (state) => {
    for (const isAssignedToUs of [true, false])
      for (const isDraining of [true, false])
        for (const owner of ['none', 'dead', 'alive', 'unsure'] as const)
          for (const mayAcquire of [true, false])
            for (const running of [0, 3])
              for (const unwantedMs of [0, BUSY_PATIENCE_MS])
                expect(
                  nextStep({ ...free, state, isAssignedToUs, isDraining, owner, mayAcquire, running, unwantedMs }),
                ).toBe('nothing');
  });
});

it('a busy shard is kept long enough for a short turn, and not so long that a new worker stays idle', () => {
  expect(BUSY_PATIENCE_MS).toBe(1_000);
});
