/**
 * How many workers a pool should have: a pure function of what its workers told, of the time, and of two notes of its own.
 *
 *   grows    at once, when lanes wait for nothing but a slot: by as many workers as have room for them;
 *            by one, when an event loop has been saturated for a while: up to one worker per core, more would gain nothing
 *   shrinks  by one, when one worker less would have been enough for a whole `idleTimeoutMs` without a break
 *   stays    otherwise, and whenever it knows nothing (the broker is away)
 *
 * It does not flap. A worker that starts counts as room for what waits until the others have told what they gave away. The
 * reason why the pool grew has to be over for a whole timeout before it shrinks, and "enough" means with room to spare.
 */

export interface PoolLimits {
  readonly minWorkers: number;
  /** The most processes, including those that end their last turns: these still use memory. */
  readonly maxWorkers: number;
  readonly idleTimeoutMs: number;
  /** Turns that run at once in one worker. */
  readonly capacity: number;
  readonly cores: number;
  /** How long after its start a worker still changes the loads of the others: they give shards away to it. */
  readonly settleMs: number;
}

/** The load that a worker reports. */
export interface WorkerLoad {
  readonly running: number;
  /** Lanes that wait for nothing but a slot. */
  readonly waiting: number;
  /** Share of its time in which the event loop worked, 0 to 1. */
  readonly busy: number;
}

export interface PoolWorker {
  readonly slot: number;
  /** `coming`: it starts, or waits to be started again after a crash. `leaving`: it ends its last turns. */
  readonly state: 'coming' | 'serving' | 'leaving';
  /** When that began. */
  readonly since: number;
  /** `undefined` when its last report is too old: its event loop hangs. */
  readonly load?: WorkerLoad | undefined;
}

export interface PoolSight {
  readonly now: number;
  readonly workers: readonly PoolWorker[];
  /** The reports of workers do not arrive. */
  readonly isBlind: boolean;
}

/** The notes that are kept from one look to the next. */
export interface PoolNotes {
  readonly saturatedSince?: number | undefined;
  readonly calmSince?: number | undefined;
}

export interface PoolDecision {
  readonly grow: number;
  /** The slot of the worker that is to end. */
  readonly retire?: number;
  readonly notes: PoolNotes;
}

const SATURATED = 0.9;
const RELAXED = 0.7;
const SPARE = 0.7;
/** A busy event loop is a busy core. Yet where it hangs, a second worker helps on one core too. */
const LEAST_CORES = 2;
/** The one to end may be in the midst of a turn, which its drain would cut when it is long: for so many timeouts, none is. */
const TIMEOUTS_FOR_AN_IDLE_ONE = 5;

export function decidePoolSize(limits: PoolLimits, sight: PoolSight, notes: PoolNotes): PoolDecision {
  const { minWorkers, maxWorkers, settleMs } = limits;
  const { now, workers, isBlind } = sight;
  const wanted = workers.filter(({ state }) => state !== 'leaving');
  const room = Math.max(0, maxWorkers - workers.length);
  const lacking = Math.min(room, minWorkers - wanted.length);
  if (lacking > 0) return { grow: lacking, notes: {} };
  if (isBlind) return { grow: 0, notes: {} };

  const { coming, isSettled } = whoComes(wanted, now, settleMs);
  const isSaturated = isSettled && servingOf(wanted).some(({ load }) => (load?.busy ?? 1) >= SATURATED);
  const saturatedSince = isSaturated ? (notes.saturatedSince ?? now) : undefined;
  const calmSince = isCalm(limits, wanted) ? (notes.calmSince ?? now) : undefined;

  const forWaiting = Math.ceil(sum(wanted, ({ waiting }) => waiting) / limits.capacity) - coming;
  const mayRelieve = saturatedSince !== undefined && now - saturatedSince >= settleMs;
  const forSaturated = mayRelieve && wanted.length < Math.max(LEAST_CORES, limits.cores) ? 1 : 0;
  const grow = Math.min(room, Math.max(forWaiting, forSaturated));
  if (grow > 0) return { grow, notes: {} };

  const retire = calmSince === undefined ? undefined : whoMayGo(limits, wanted, now, now - calmSince);
  if (retire !== undefined) return { grow: 0, retire, notes: {} };
  return { grow: 0, notes: { saturatedSince, calmSince } };
}

/** Workers that start, and those that have just begun: the others still tell what they have given away to them. */
function whoComes(wanted: readonly PoolWorker[], now: number, settleMs: number) {
  const serving = servingOf(wanted);
  // The first worker takes over no shards.
  const eldest = Math.min(...serving.map(({ since }) => since));
  const fresh = serving.filter(({ since }) => since > eldest && now - since < settleMs);
  const coming = wanted.length - serving.length + fresh.length;
  return { coming, isSettled: coming === 0 && now - eldest >= settleMs };
}

/** Nothing waits, and one worker less would have room to spare. */
function isCalm({ capacity }: PoolLimits, wanted: readonly PoolWorker[]): boolean {
  const serving = servingOf(wanted);
  const without = serving.length - (serving.length === wanted.length ? 1 : 0);
  return (
    serving.every(({ load }) => load !== undefined && load.waiting === 0 && load.busy <= RELAXED) &&
    sum(serving, ({ running }) => running) <= without * capacity * SPARE &&
    sum(serving, ({ busy }) => busy) <= without * RELAXED
  );
}

/** First a worker that cannot start; else the one with the fewest turns, and of these the last. */
function whoMayGo(limits: PoolLimits, wanted: readonly PoolWorker[], now: number, calmMs: number): number | undefined {
  const { idleTimeoutMs, minWorkers } = limits;
  if (calmMs < idleTimeoutMs || wanted.length <= minWorkers) return undefined;
  const running = ({ load, state }: PoolWorker): number => (state === 'coming' ? -1 : (load?.running ?? 0));
  const [least] = wanted
    // A worker that has just crashed comes back first: under its own id it takes over its shards at once.
    .filter(({ state, since }) => state === 'serving' || now - since >= idleTimeoutMs)
    .toSorted((a, b) => running(a) - running(b) || b.slot - a.slot);
  if (least === undefined) return undefined;
  const isPatient = running(least) > 0 && calmMs < idleTimeoutMs * TIMEOUTS_FOR_AN_IDLE_ONE;
  return isPatient ? undefined : least.slot;
}

function servingOf(workers: readonly PoolWorker[]): PoolWorker[] {
  return workers.filter(({ state }) => state === 'serving');
}

function sum(workers: readonly PoolWorker[], of: (load: WorkerLoad) => number): number {
  return workers.reduce((total, { load }) => total + (load === undefined ? 0 : of(load)), 0);
}
