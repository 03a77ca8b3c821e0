import { expect, it } from 'vitest';
import { ManualClock } from '#testing';
import { VersionWatch } from './version-watch.js';

/** A process that uses version 3, and what it is told. */
function setUp() {
  const clock = new ManualClock();
  const state = { current: 3, seenByReplica: 3, isAway: false };
  const heard: number[] = [];
  let glances = 0;
  let reads = 0;
  const ask = async (version: number): Promise<number> => {
    if (state.isAway) throw new Error('away');
    return version;
  };
  const watch = new VersionWatch({
    version: 3,
    clock,
    glance: () => (glances++, ask(state.seenByReplica)),
    read: () => (reads++, ask(state.current)),
    onNewer: (version) => void heard.push(version),
  });
  return { clock, state, heard, watch, asked: () => ({ glances, reads }) };
}

it('a newer version is reported once, soon after its hint, read from the leader', async () => {
  const { clock, state, heard, watch, asked } = setUp();
  state.current = 4;
  watch.hint();
  await clock.advance(1_000);
  watch.hint();
  await clock.advance(1_000);
  expect(heard).toEqual([4]);
  expect(asked()).toEqual({ glances: 0, reads: 2 });
});

it('after a missed hint, a regular check at any replica finds the version', async () => {
  const { clock, state, heard, asked } = setUp();
  state.seenByReplica = 5;
  await clock.advance(29_000);
  expect(heard).toEqual([]);
  await clock.advance(2_000);
  expect(heard).toEqual([5]);
  await clock.advance(60_000);
  expect(heard).toEqual([5]);
  expect(asked()).toEqual({ glances: 3, reads: 0 });
});

it('the check is repeated while the broker is away', async () => {
  const { clock, state, heard } = setUp();
  state.isAway = true;
  await clock.advance(65_000);
  state.isAway = false;
  state.seenByReplica = 4;
  await clock.advance(30_000);
  expect(heard).toEqual([4]);
});

it('after close it asks and reports nothing', async () => {
  const { clock, state, heard, watch, asked } = setUp();
  state.current = state.seenByReplica = 4;
  watch.close();
  watch.hint();
  await clock.advance(60_000);
  expect([heard, asked()]).toEqual([[], { glances: 0, reads: 0 }]);
});
