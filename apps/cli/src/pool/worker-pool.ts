import type { Clock } from '#contracts';
import type { Logger } from '#telemetry';
import type { LoadSource } from './member-loads.client.js';
import { decidePoolSize, type PoolLimits, type PoolNotes, type PoolWorker } from './pool-size.js';
import type { PoolSlot } from './pool-slot.js';

export interface WorkerPoolOptions {
  readonly limits: PoolLimits;
  /** Ids of its workers, as many as there may be at most. */
  readonly ids: readonly string[];
  readonly makeSlot: (id: string, onChange: () => void) => PoolSlot;
  readonly loads: LoadSource;
  /** A worker that reports nothing for this long has an event loop that hangs. */
  readonly silentAfterMs: number;
  /** A worker that reports nothing for this long is given up: the others have long taken its shards. */
  readonly hungAfterMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

const LOOK_MS = 1_000;
/** A look that comes later than this says that this process stood still, and heard no worker meanwhile. */
const STANDSTILL_MS = 5_000;

/** Workers of one machine, as many as there is work for: looks at them every second, starts and ends them. */
export class WorkerPool {
  private readonly slots: readonly PoolSlot[];
  private readonly waiting = new Set<() => void>();
  private notes: PoolNotes = {};
  private awakeSince = 0;
  private lookedAt: number;
  private cancelLook = (): void => {};

  constructor(private readonly options: WorkerPoolOptions) {
    this.slots = options.ids.map((id) => options.makeSlot(id, () => this.changed()));
    this.lookedAt = options.clock.monotonic();
  }

  /** Resolves when the least number of workers is ready, however often they have to be started for that. */
  async start(signal: AbortSignal): Promise<void> {
    this.look();
    await this.when(() => this.count('serving') >= this.options.limits.minWorkers, signal);
  }

  /** All of them end as a single worker does, at the same time. */
  async stop(): Promise<void> {
    this.cancelLook();
    for (const slot of this.slots) slot.retire();
    await this.when(() => this.count('empty') === this.slots.length);
  }

  private look(): void {
    const { clock, limits, loads, log } = this.options;
    this.cancelLook = clock.after(LOOK_MS, () => this.look());
    const now = clock.monotonic();
    if (now - this.lookedAt > STANDSTILL_MS) this.awakeSince = now;
    this.lookedAt = now;
    const workers = this.slots.flatMap((slot, index) => this.see(slot, index, now));
    const isBlind = loads.hearsSince === undefined;
    const { grow, retire, notes } = decidePoolSize(limits, { now, workers, isBlind }, this.notes);
    this.notes = notes;
    if (grow > 0) log.info({ workers: workers.length, more: grow }, 'pool grows');
    for (const slot of this.slots.filter(({ state }) => state === 'empty').slice(0, grow)) slot.start();
    if (retire === undefined) return;
    log.info({ workers: workers.length, process: this.options.ids[retire] }, 'pool shrinks');
    this.slots[retire]?.retire();
  }

  private see(slot: PoolSlot, index: number, now: number): PoolWorker[] {
    const { state, since } = slot;
    if (state === 'empty') return [];
    if (state === 'leaving') return [{ slot: index, state, since }];
    if (state !== 'serving') return [{ slot: index, state: 'coming', since }];
    const { ids, loads, silentAfterMs, hungAfterMs, log } = this.options;
    const load = loads.of(ids[index] as string);
    const silentMs =
      loads.hearsSince === undefined ? 0 : now - Math.max(load?.at ?? 0, since, loads.hearsSince, this.awakeSince);
    if (silentMs > hungAfterMs) {
      log.error({ process: ids[index], silentMs }, 'a worker hangs: it is killed, and what it ran is run again');
      slot.kill();
    }
    return [{ slot: index, state, since, load: silentMs > silentAfterMs ? undefined : load }];
  }

  private count(state: PoolSlot['state']): number {
    return this.slots.filter((slot) => slot.state === state).length;
  }

  private changed(): void {
    for (const check of this.waiting) check();
  }

  private when(isTrue: () => boolean, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => finish(() => reject(signal?.reason as Error));
      const check = (): void => {
        if (isTrue()) finish(resolve);
      };
      const finish = (settle: () => void): void => {
        this.waiting.delete(check);
        signal?.removeEventListener('abort', abort);
        settle();
      };
      if (signal?.aborted === true) return abort();
      this.waiting.add(check);
      signal?.addEventListener('abort', abort);
      check();
    });
  }
}
