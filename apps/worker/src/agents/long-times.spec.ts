import { afterEach, beforeEach, expect, it } from 'vitest';
import { QUEUE_DEFAULTS, type QueueSettings, type StrategyName } from '#contracts';
import type { TurnOutcome, TurnPolicy, TurnWork } from '#lanes';
import { ManualClock, settled } from '#testing';
import { ModelBroker } from '../ownership/ownership-broker.fixture.js';
import { ModelWorker } from '../ownership/ownership-worker.fixture.js';

/**
 * Situations that last for minutes, on the real lanes and the real keeper of shards, with a broker in memory and a
 * simulated clock.
 */

const MINUTE_MS = 60_000;
/** Enough for a new owner: memberships last two seconds. */
const TAKEOVER_MS = 5_000;
const TTL_MS = 30_000;

const policy: TurnPolicy = {
  turnTimeoutMs: 15 * MINUTE_MS,
  abortGraceMs: 10,
  maxAttempts: 3,
  backoffInitialMs: 100,
  backoffMaxMs: 100,
  retryLaterMaxMs: MINUTE_MS,
  laneBuffer: 512,
};
const queueing: QueueSettings = {
  ...QUEUE_DEFAULTS,
  queueEntryTtlMs: TTL_MS,
  debounceMs: 10_000,
  maxDebounceMs: 20_000,
};

let clock: ManualClock;
let broker: ModelBroker;
let workers: ModelWorker[];
let running: { readonly work: TurnWork; end(): void }[];
let decided: string[];

beforeEach(() => {
  clock = new ManualClock();
  [workers, running, decided] = [[], [], []];
  broker = new ModelBroker(
    () => clock.now(),
    (_session, { messages }) => void decided.push(...messages.map(({ seq, decision }) => `${seq} ${decision}`)),
  );
});

afterEach(() => {
  for (const worker of workers) worker.kill();
});

/** A worker of this id, and time for it to take its shards. */
async function join(id: string): Promise<ModelWorker> {
  const world = { clock, broker, nextDelayMs: () => 1, nextLag: () => 0 };
  const worker = new ModelWorker(id, world, turns, MINUTE_MS);
  workers.push(worker);
  await clock.advance(TAKEOVER_MS);
  return worker;
}

const turns = () => ({
  knows: () => true,
  policyOf: () => policy,
  queueingOf: (_key: unknown, { strategy = queueing.strategy }: { strategy?: StrategyName | undefined } = {}) => ({
    ...queueing,
    strategy,
  }),
  runsOutside: () => true,
  run: (work: TurnWork) =>
    new Promise<TurnOutcome>((resolve) => {
      running.push({ work, end: () => resolve({ kind: 'succeeded', replies: [] }) });
    }),
});

async function send(seq: number, strategy?: StrategyName, session = 's'): Promise<void> {
  broker.inbox.push({ seq, session, shard: 0, route: '', strategy, at: clock.now() });
  await clock.advance(200);
}

/** Ends running turns until none is left. Returns the batches. */
async function endAll(): Promise<number[][]> {
  const batches: number[][] = [];
  for (let turn = running.shift(); turn !== undefined; turn = running.shift()) {
    batches.push(turn.work.batch.items.map(({ seq }) => seq));
    turn.end();
    await settled();
    await clock.advance(1_000);
  }
  return batches;
}

it('after ten minutes with everything down, the broker too, no waiting message has expired (L3)', async () => {
  const worker = await join('w');
  await send(1);
  await send(2);
  await send(3, 'collect');
  worker.kill();
  broker.isUp = false;
  running.length = 0;
  await clock.advance(10 * MINUTE_MS);
  broker.isUp = true;
  await join('w');
  expect(await endAll()).toEqual([[1], [2, 3]]);
  expect(decided).toEqual(['1 handled', '2 handled', '3 handled']);
});

it('a window that was open when everything went down is over after ten minutes, and its messages run', async () => {
  const worker = await join('w');
  await send(1, 'collect');
  await send(2, 'collect');
  worker.kill();
  broker.isUp = false;
  await clock.advance(10 * MINUTE_MS);
  broker.isUp = true;
  await join('w');
  expect(await endAll()).toEqual([[1, 2]]);
  expect(decided).toEqual(['1 handled', '2 handled']);
});

it('the broker alone is away for ten minutes: running turns continue, and no message behind them or in a window expires (L1, L3)', async () => {
  const worker = await join('w');
  await send(1);
  await send(2);
  await send(3, 'collect', 'other');
  broker.isUp = false;
  worker.host.disconnect();
  await clock.advance(10 * MINUTE_MS);
  broker.isUp = true;
  worker.host.reconnect();
  await clock.advance(TAKEOVER_MS);
  expect(await endAll()).toEqual([[1], [3], [2]]);
  expect(decided).toEqual(['1 handled', '3 handled', '2 handled']);
});

it('D8 a turn of eleven minutes keeps its session: no other turn of it runs, and no waiting message expires (L1)', async () => {
  await join('w');
  await send(1);
  await send(2);
  // A worker that joins meanwhile takes its share of the shards, and waits for the turn as well.
  await join('other');
  await clock.advance(11 * MINUTE_MS);
  expect(running.map(({ work }) => work.batch.items.map(({ seq }) => seq))).toEqual([[1]]);
  expect(running[0]?.work.signal.aborted).toBe(false);
  expect(await endAll()).toEqual([[1], [2]]);
  expect(decided).toEqual(['1 handled', '2 handled']);
});
