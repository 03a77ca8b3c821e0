import { describe, expect, it } from 'vitest';
import { setUpReading } from './lane-reading.fixture.js';
import { settled } from './lane-runner.fixture.js';

type Reading = ReturnType<typeof setUpReading>;

/** From now on nothing is handed over of what is stored: the reader has lost its consumer, and knows it. */
function loseConsumer({ reader, runner }: Reading): void {
  reader.isStopped = true;
  runner.fellBehind(0);
}

describe('a shard whose reader has lost its consumer', () => {
  it('L2 gives up no number that is stored meanwhile', async () => {
    const reading = setUpReading({ queueing: { strategy: 'fifo', gapTimeoutMs: 2_000 } });
    const { ahead, pass, endAll, started } = reading;
    ahead.store('a', { sequence: 0 });
    await pass(100);
    await endAll();
    const early = ahead.store('a', { sequence: 2 });
    await pass(100);
    loseConsumer(reading);
    const missing = ahead.store('a', { sequence: 1 });
    await pass(3_000);
    await endAll();
    expect(started('a').map(({ seqs }) => seqs)).toEqual([[1], [missing], [early]]);
  });

  it('judges no window by what was handed over before', async () => {
    const reading = setUpReading({ queueing: { strategy: 'collect', debounceMs: 500, maxDebounceMs: 2_000 } });
    const { ahead, clock, pass, started } = reading;
    const first = ahead.store('a', {}, { storedAtMs: clock.now() });
    await pass(100);
    loseConsumer(reading);
    const second = ahead.store('a', {}, { storedAtMs: clock.now() });
    await pass(2_000);
    expect(started('a').map(({ seqs }) => seqs)).toEqual([[first, second]]);
  });
});

describe('a frozen batch that comes to be known after its shard was read to the end', () => {
  /** While the turn with the first message of a session ran here, another process wrote that it is to run with two. */
  async function followAnother(reading: Reading, { isLate }: { isLate: boolean }): Promise<void> {
    const { ahead, pass, reader, records, turns } = reading;
    ahead.store('a');
    await pass(100);
    reader.isStopped = true;
    if (isLate) ahead.store('a');
    const run = { runId: 'main.a.1.x', seqs: [1, 2], attempt: 2, crashes: 0 };
    const head = { upto: 0, done: [], run, nextSequence: null, children: {}, relayed: {} };
    records.write('a', JSON.stringify({ v: 1, kind: 'note', commitId: 'x', worker: 'w/2', ...head, messages: [] }), 0);
    turns.active.get('a')?.end();
    await settled();
  }

  it('L7 is whole when what it lacks is read, though the reader is late with it', async () => {
    const reading = setUpReading();
    reading.ahead.isExact = false;
    await followAnother(reading, { isLate: true });
    await reading.pass(1_000);
    expect(reading.started('a').map(({ seqs, attempt }) => [seqs, attempt])).toEqual([
      [[1], 1],
      [[1, 2], 2],
    ]);
  });

  it('goes on without what is gone from the inbox, though nothing more of the shard comes', async () => {
    const reading = setUpReading();
    await followAnother(reading, { isLate: false });
    await reading.pass(1_000);
    expect(reading.started('a').map(({ seqs }) => seqs)).toEqual([[1], [1]]);
  });
});
