import type { Clock, SessionTokens } from '#contracts';
import type { Batch } from './lane.js';
import type { RecordStore, TurnRunner, TurnWork } from './lane-ports.js';
import type { TurnTimes } from './record-draft.js';
import type { TurnOutcome } from './settlement.js';

/** A turn that lasts longer says that it began; a shorter one stays one write. */
const ANNOUNCE_AFTER_MS = 50;

export interface ExecutedTurn {
  readonly outcome: TurnOutcome;
  readonly times: TurnTimes;
}

export interface TurnExecutionOptions {
  readonly store: RecordStore;
  readonly turns: TurnRunner;
  readonly clock: Clock;
  readonly worker: string;
}

/** Runs the handler for a batch, and says that the turn began when that may be needed after a crash. */
export async function executeTurn(
  key: SessionTokens,
  batch: Batch,
  state: unknown,
  signal: AbortSignal,
  { store, turns, clock, worker }: TurnExecutionOptions,
): Promise<ExecutedTurn> {
  const startedAt = clock.now();
  const { runId, attempt } = batch;
  const announce = (): void =>
    store.announce(key, {
      type: 'turn-started',
      runId,
      attempt,
      seqs: batch.items.map(({ seq }) => seq),
      at: startedAt,
      worker,
    });
  let forget = (): void => {};
  if (turns.runsOutside(key)) announce();
  else forget = clock.after(ANNOUNCE_AFTER_MS, announce);
  const outcome = await runToOutcome(turns, { key, batch, state, signal });
  forget();
  return { outcome, times: { startedAt, endedAt: clock.now() } };
}

/** A runner that rejects all the same must not take the process, and every other lane, with it (L6). */
async function runToOutcome(turns: TurnRunner, work: TurnWork): Promise<TurnOutcome> {
  try {
    return await turns.run(work);
  } catch {
    const message = 'the turn came to no outcome: what its handler threw cannot be described';
    return { kind: 'failed', error: { name: 'runner_failed', message } };
  }
}
