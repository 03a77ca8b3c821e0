import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type LaneEvent, type SessionRecord, isDecided } from '#contracts';
import { World } from './lane-owners.fixture.js';
import { moves, noneSeen, SESSIONS, skewedWorld, world, type Plan } from './lane-owners-plan.fixture.js';
import { QUARANTINE_CRASHES } from '../lane/after-crash.js';
import { settled } from './lane-runner.fixture.js';

/** The same histories each time, so that a red build is about the change; `MODEL_SEED` tries others. */
const SEED = Number(process.env['MODEL_SEED'] ?? 1);
/** `MODEL_HISTORIES` tries more; `npm run test:long` tries 10,000. */
const HISTORIES = Number(process.env['MODEL_HISTORIES'] ?? 2_000);

async function run(plan: Plan): Promise<World> {
  const it = new World(plan);
  // Each message may be a turn of its own, and each turn hang three times.
  await it.clock.advance(400_000);
  await settled();
  expect([it.violations, it.guard.held]).toEqual([[], []]);
  for (const { runner, isDead } of it.processes) if (!isDead) it.seen.discarded += runner.discarded;
  Object.assign(it.seen, it.guard.seen);
  it.seen.split = it.events.filter(({ type }) => type === 'turn-split').length;
  for (const session of SESSIONS) {
    const records = it.records.of(session);
    const decided = records.flatMap(({ messages }) => messages.map(({ seq }) => seq));
    const sent = it.inbox.flatMap((entry, i) => (entry.session === session ? [i + 1] : []));
    expect(decided.toSorted((a, b) => a - b)).toEqual(sent);
    // Windows and gaps are shorter, whatever the clocks say.
    const expired = records.flatMap(({ messages }) => messages.filter(({ reason }) => reason === 'queue-entry-ttl'));
    if (plan.queueing.queueEntryTtlMs > 10_000) expect(expired).toEqual([]);
    const { head } = it.records.head(session);
    expect([sent.filter((seq) => !isDecided(head, seq)), head.run]).toEqual([[], null]);
    expect(head.runs).toBeUndefined();
    const isInTurn = (seq: number): boolean => (it.inbox[seq - 1]?.strategy ?? plan.queueing.strategy) !== 'concurrent';
    const handled = records.flatMap((record) =>
      record.kind === 'turn' && record.status === 'succeeded'
        ? record.messages.filter(
            ({ seq, decision, reason }) => isInTurn(seq) && decision !== 'dead' && reason !== 'late-sequence',
          )
        : [],
    );
    it.seen.late += records
      .flatMap(({ messages }) => messages)
      .filter(({ reason }) => reason === 'late-sequence').length;
    const order = handled.map(({ seq }) => it.inbox[seq - 1]?.sequence ?? seq);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    for (const record of records) {
      // No run is blamed for more ends than there were.
      for (const { crashes } of [record.run, ...(record.runs ?? [])].filter((each) => each !== null)) {
        expect(crashes).toBeLessThanOrEqual(it.gone.size);
      }
      if (record.kind === 'turn' && record.status === 'rejected') it.seen.refusedTurns++;
      if (record.kind === 'turn' && record.run?.rest !== undefined) it.seen.parts++;
      if (record.kind === 'turn' && record.error?.name === 'worker_crashed') {
        expect(it.gone.size).toBeGreaterThan(QUARANTINE_CRASHES);
      }
    }
    const reasons = records.flatMap(({ messages }) => messages.map(({ reason }) => reason));
    it.seen.buried += reasons.filter((reason) => reason === 'agent-missing').length;
    it.seen.verdicts += reasons.filter((reason) => reason === 'Verdict').length;
    for (const { messages } of records) {
      // What ends dead is kept with its content.
      for (const { seq, decision } of messages)
        if (decision === 'dead')
          expect(it.records.buried.some((each) => each.session === session && each.letter.seq === seq)).toBe(true);
      for (const { decision } of messages) if (decision in it.seen) it.seen[decision as 'cancelled']++;
    }
  }
  return it;
}

/** Every decision as it was told: none is made without a word, and none is told twice. */
function toldOf(events: readonly LaneEvent[]): string[] {
  return events
    .flatMap((event) => {
      if (event.type === 'turn-ended') return event.messages.map(({ seq, decision }) => `${seq} ${decision}`);
      return 'messageId' in event && 'seq' in event ? [`${event.seq} ${event.type.slice('message-'.length)}`] : [];
    })
    .toSorted();
}

function decidedIn(records: readonly SessionRecord[]): string[] {
  return records
    .flatMap(({ kind, messages }) =>
      // An order's own decision is no news: what it did is.
      messages.flatMap(({ seq, decision }) =>
        kind === 'note' && decision === 'handled' ? [] : [`${seq} ${decision}`],
      ),
    )
    .toSorted();
}

it('L1 L3 L4 a shard goes from owner to owner: each message is decided once, at most one process that is there runs its session', async () => {
  const seen = noneSeen();
  const plan = moves('hand over', 'hand over', 'hand over', 'crash', 'lose', 'end a holder', 'save');
  await fc.assert(
    fc.asyncProperty(world(plan), async (chance) => {
      const { seen: now } = await run(chance);
      for (const what of Object.keys(seen) as (keyof typeof seen)[]) seen[what] += now[what];
    }),
    { numRuns: HISTORIES, seed: SEED },
  );
  for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(20);
}, 600_000);

it('L1 L3 L4 the same where the clocks of the owners differ by up to ten minutes, and are set: no wait is longer than it was meant', async () => {
  const plan = moves('hand over', 'hand over', 'hand over', 'crash', 'lose', 'end a holder', 'save');
  await fc.assert(
    fc.asyncProperty(skewedWorld(plan), async (chance) => void (await run(chance))),
    { numRuns: HISTORIES, seed: SEED },
  );
}, 600_000);

it('L1 a handover costs nothing: no attempt, no crash, no result, and no turn runs twice', async () => {
  await fc.assert(
    fc.asyncProperty(world(moves('hand over', 'save')), async (chance) => {
      const { records, processes, seen, events, putOff } = await run(chance);
      expect(toldOf(events)).toEqual(decidedIn(SESSIONS.flatMap((session) => records.of(session))));
      expect(seen.discarded).toBe(0);
      for (const session of SESSIONS) {
        for (const next of records.of(session).flatMap((record) => [record.run, ...(record.runs ?? [])])) {
          if (next === null) continue;
          expect(next).toMatchObject({ crashes: 0 });
          expect(next.attempt).toBe((next.failures ?? 0) + 1);
        }
      }
      const attempts = processes.flatMap(({ turns }) =>
        turns.started.map(({ batch }) => `${batch.runId} ${batch.attempt}`).filter((attempt) => !putOff.has(attempt)),
      );
      expect(new Set(attempts).size).toBe(attempts.length);
    }),
    { numRuns: 600, seed: SEED },
  );
}, 600_000);
