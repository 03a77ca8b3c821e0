import { afterEach, expect, it } from 'vitest';
import type { Turn } from '#agents';
import { jsonText, QUEUE_DEFAULTS, type SessionRecord } from '#contracts';
import type { TurnPolicy } from '#lanes';
import { ManualClock } from '#testing';
import { AgentRunner } from './agent-runner.js';
import { ModelBroker } from '../ownership/ownership-broker.fixture.js';
import { ModelWorker } from '../ownership/ownership-worker.fixture.js';

/** State merges of a handler, from its `Turn` through the real lanes to the stored record. */

const policy: TurnPolicy = {
  turnTimeoutMs: 1_000,
  abortGraceMs: 10,
  maxAttempts: 1,
  backoffInitialMs: 1,
  backoffMaxMs: 1,
  retryLaterMaxMs: 1,
  laneBuffer: 512,
};

let worker: ModelWorker | undefined;
afterEach(() => worker?.kill());

/** Runs a turn for each of these. Returns the records. */
async function recordsOf(...handlers: ((turn: Turn) => unknown)[]): Promise<SessionRecord[]> {
  const clock = new ManualClock();
  const records: SessionRecord[] = [];
  const broker = new ModelBroker(
    () => clock.now(),
    (_session, record) => void records.push(record),
  );
  const handler = (turn: Turn): unknown => handlers[turn.message.seq - 1]?.(turn);
  const queueing = () => ({ ...QUEUE_DEFAULTS, strategy: 'fifo' as const });
  const runner = new AgentRunner(new Map([['main', { handler, policy, queueing, isOutside: false }]]));
  worker = new ModelWorker('w', { clock, broker, nextDelayMs: () => 1, nextLag: () => 0 }, () => runner, 1_000);
  for (const seq of handlers.keys()) {
    broker.inbox.push({ seq: seq + 1, session: 's', shard: 0, route: '', at: clock.now() });
  }
  await clock.advance(5_000);
  return records;
}

const increment = (current: unknown) => ({ n: ((current as { n: number } | undefined)?.n ?? 0) + 1 });

it('a merged state is in the record, and the next turn starts from it', async () => {
  const seen: unknown[] = [];
  const count = (turn: Turn): void => {
    turn.state.merge(increment);
    seen.push(turn.state.get());
  };
  const records = await recordsOf(count, count, count);
  expect(seen).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  expect(records.map(({ state }) => state?.value)).toEqual(seen);
});

it.each<[string, () => unknown, string]>([
  [
    'throws',
    () => {
      throw new Error('boom');
    },
    'boom',
  ],
  [
    'throws what has no text',
    () => {
      throw Object.create(null);
    },
    'threw .*described',
  ],
  ['answers what JSON cannot hold', () => Symbol('n'), 'JSON cannot hold'],
  ['answers a promise', () => Promise.resolve({}), 'answered a promise'],
])(
  'L6 one that %s at the commit fails its turn with a clear error; the state and the session go on',
  async (_title, bad, why) => {
    let calls = 0;
    const records = await recordsOf(
      (turn) => turn.state.merge(increment),
      (turn) => {
        turn.reply('never said');
        turn.state.merge((current) => {
          // The first call is the one on the turn's own copy.
          return calls++ === 0 ? current : bad();
        });
      },
      (turn) => turn.state.merge(increment),
    );
    expect(records).toMatchObject([
      { status: 'succeeded', state: jsonText({ n: 1 }) },
      { status: 'failed', sends: [], state: jsonText({ n: 1 }), messages: [{ decision: 'dead' }] },
      { status: 'succeeded', state: jsonText({ n: 2 }) },
    ]);
    expect(records[1]).toHaveProperty('error.message', expect.stringMatching(`turn.state.merge.*${why}`));
  },
);
