import fc from 'fast-check';
import { FULL_QUEUE_POLICIES, OVERFLOW_ACTIONS, STRATEGIES, type QueueSettings } from '#contracts';

/** What may happen to a shard that goes from process to process, by chance; and what has to happen often enough. */

export const SESSIONS = ['a', 'b', 'c'];
const TASKS = ['k', 'l'];
const atMs = fc.integer({ min: 0, max: 1_500 });
const arrivals = fc.array(
  fc.record({
    atMs,
    session: fc.constantFrom(...SESSIONS),
    /** Mostly that of the agent. */
    strategy: fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, fc.constantFrom('queue', 'concurrent')),
    /** Some sessions number their messages: this far from where it was sent a message arrives. */
    shift: fc.constantFrom(0, 0, 0, 1, 2, -1),
    /** Tasks that the sessions share. */
    task: fc.constantFrom(...Array.from({ length: 5 }, () => undefined), ...TASKS),
    kind: fc.oneof(
      { weight: 6, arbitrary: fc.constant('message' as const) },
      { weight: 1, arbitrary: fc.constantFrom('broken' as const, 'cancel' as const, 'cancel one' as const) },
    ),
  }),
  { minLength: 5, maxLength: 30 },
);
const queueing: fc.Arbitrary<QueueSettings> = fc.record({
  strategy: fc.constantFrom(...STRATEGIES),
  maxQueueSize: fc.constantFrom(1, 2, 4, Number.POSITIVE_INFINITY),
  onQueueFull: fc.constantFrom(...FULL_QUEUE_POLICIES),
  queueEntryTtlMs: fc.constantFrom(30, 90_000),
  queueTimeoutMs: fc.constantFrom(undefined, undefined, 20, 700),
  overflowAction: fc.constantFrom(...OVERFLOW_ACTIONS),
  busyMessage: fc.constant('busy'),
  debounceMs: fc.constantFrom(10, 50),
  maxDebounceMs: fc.constantFrom(50, 120),
  maxConcurrent: fc.constantFrom(1, 2, Number.POSITIVE_INFINITY),
  gapTimeoutMs: fc.constantFrom(10, 80),
  maxTurnMessages: fc.constantFrom(2, 500, 500, 500),
  maxTurnBytes: fc.constantFrom(200, 1_000_000, 1_000_000, 1_000_000),
});
/** Up to ten minutes, which is more than anything here waits; mostly less than a retry does. */
const skewMs = fc.oneof(
  { weight: 2, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.integer({ min: -100, max: 100 }) },
  { weight: 1, arbitrary: fc.constantFrom(-600_000, 600_000) },
);
export const moves = (...kinds: ('hand over' | 'crash' | 'lose' | 'end a holder' | 'save')[]) =>
  fc.array(fc.record({ atMs, kind: fc.constantFrom(...kinds), back: fc.nat({ max: 5 }) }), { maxLength: 8 });
const clocks = fc.record({
  /** How far the wall clock of each process is ahead at first. */
  skewsMs: fc.array(skewMs, { minLength: 1, maxLength: 4 }),
  /** The clock of a process is set. */
  jumps: fc.array(fc.record({ atMs, process: fc.nat({ max: 3 }), byMs: skewMs }), { maxLength: 6 }),
});
type Clocks = typeof clocks extends fc.Arbitrary<infer T> ? T : never;
const SAME_CLOCK: fc.Arbitrary<Clocks> = fc.constant({ skewsMs: [0], jumps: [] });
/** `refuse`: not these messages together; of several it is so often that parts are split again. */
const ENDS = [
  ...Array<'end'>(9).fill('end'),
  ...(['fail', 'fail', 'hang', 'refuse', 'refuse', 'later', 'later', 'verdict'] as const),
] as const;
export const world = (plan: ReturnType<typeof moves>, howClocksAre = SAME_CLOCK) =>
  fc.record({
    arrivals,
    moves: plan,
    delays: fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 15 })), { minLength: 1, maxLength: 30 }),
    lengths: fc.array(fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 1_500 })), {
      minLength: 1,
      maxLength: 30,
    }),
    ends: fc.array(fc.constantFrom(...ENDS), { minLength: 1, maxLength: 30 }),
    /** Processes that lack the agent: what they own waits. */
    lacks: fc.array(fc.constantFrom(false, false, true), { minLength: 1, maxLength: 4 }),
    /** How long messages wait for it: mostly for longer than it is away. */
    agentMissingMs: fc.constantFrom(1_000_000, 1_000_000, 400),
    capacity: fc.integer({ min: 1, max: 4 }),
    laneBuffer: fc.constantFrom(1, 2, 3, 512),
    idleLanes: fc.constantFrom(0, 1, 10),
    queueing,
    numbered: fc.subarray([...SESSIONS]),
    clocks: howClocksAre,
  });
/** Each process has a clock of its own, and it may be set. */
export const skewedWorld = (plan: ReturnType<typeof moves>) => world(plan, clocks);
export type Plan = ReturnType<typeof world> extends fc.Arbitrary<infer T> ? T : never;

/** Every second message has failed. */
export const verdictOn = (seqs: readonly number[]) =>
  seqs.filter((_, i) => i % 2 === 0).map((seq) => ({ seq, error: { name: 'Verdict', message: '' } }));

export const noneSeen = () => ({
  handedOver: 0,
  held: 0,
  toItself: 0,
  crashed: 0,
  lost: 0,
  formerOwners: 0,
  discarded: 0,
  cancelled: 0,
  superseded: 0,
  skipped: 0,
  dropped: 0,
  expired: 0,
  late: 0,
  /** Heads of forgotten lanes that were not read again. */
  remembered: 0,
  refused: 0,
  /** Batches that were split, and records that leave a part to the next turn. */
  split: 0,
  parts: 0,
  refusedTurns: 0,
  /** Turns that were put off, messages that their agent named as failed, owners that lacked the agent, and what they buried. */
  putOff: 0,
  verdicts: 0,
  lacking: 0,
  buried: 0,
  // Of the guard.
  acquired: 0,
  goneOn: 0,
  own: 0,
  healed: 0,
  failed: 0,
});
