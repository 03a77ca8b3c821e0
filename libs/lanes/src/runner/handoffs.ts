import type { Clock, CancelTarget, SessionTokens, LoadedHead } from '#contracts';
import { isHoldOver, type Hold } from '../lane/handoff.js';
import { orderOf } from '../backlog/inbox-item.js';
import type { CutTurn } from '../lane/after-crash.js';
import type { Lane } from '../lane/lane.js';
import type { RecordStore } from '../ports.js';

/** Whom the lanes ask about other processes. */
export interface Holders {
  /** Whether an incarnation is certainly gone. Never rejects; false when that cannot be told now. */
  isGone(incarnation: string): Promise<boolean>;
  /** Passes a cancel on to who runs the turn. Unacknowledged: it is repeated until a record shows the effect. */
  passCancel(holder: string, key: SessionTokens, target: CancelTarget): void;
}

export interface HoldEnd {
  readonly loaded: LoadedHead;
  /** Present when the holder is gone and left no record. */
  readonly crash?: { readonly cut: CutTurn | undefined };
}

/** How long nobody looks when no hint comes; also how often a cancel is passed on. */
const LOOK_EVERY_MS = 1_000;
/** A hint comes with the publish, a moment before the record stands. */
const LOOK_AGAIN_MS = [5, 20, 100];

/**
 * Waits for the end of turns that other processes still run of our sessions: for the record that shows it, or for the
 * certain end of the process. Until then nothing may be decided about the session here (L1).
 */
export class LaneHolds {
  private readonly watches = new Map<Lane, () => void>();

  constructor(
    private readonly store: RecordStore,
    private readonly holders: Holders,
    private readonly clock: Clock,
    private readonly onEnd: (lane: Lane, end: HoldEnd) => void,
  ) {}

  watch(lane: Lane, hold: Hold): void {
    let isOver = false;
    let cancelTimer = (): void => {};
    let isLooking = false;
    const look = async (): Promise<void> => {
      if (isLooking) return;
      isLooking = true;
      const end = await this.look(lane, hold).catch(() => undefined);
      isLooking = false;
      if (isOver || end === undefined) return;
      stop();
      this.onEnd(lane, end);
    };
    const lookLater = (delaysMs: readonly number[]): void => {
      const [delayMs = LOOK_EVERY_MS, ...rest] = delaysMs;
      cancelTimer();
      cancelTimer = this.clock.after(delayMs, () => {
        if (delaysMs.length === 0) this.passCancels(lane);
        void look();
        lookLater(rest);
      });
    };
    const endWatch = this.store.watchRecords(lane.key, () => lookLater(LOOK_AGAIN_MS));
    const stop = (): void => {
      isOver = true;
      cancelTimer();
      endWatch();
      this.watches.delete(lane);
    };
    this.watches.set(lane, stop);
    // It may have ended between the look that found it held and the watch.
    lookLater(LOOK_AGAIN_MS);
  }

  forget(lane: Lane): void {
    this.watches.get(lane)?.();
  }

  private async look(lane: Lane, hold: Hold): Promise<HoldEnd | undefined> {
    const loaded = await this.store.loadHead(lane.key);
    if (isHoldOver(hold, loaded)) return { loaded };
    if (!(await this.holders.isGone(hold.holder))) return undefined;
    // Between the two looks it may have written its last record and ended, as it should.
    const [last, cut] = await Promise.all([this.store.loadHead(lane.key), this.store.loadCutTurn(lane.key)]);
    return isHoldOver(hold, last) ? { loaded: last } : { loaded: last, crash: { cut } };
  }

  /** Told at once, and again until the record shows the effect. */
  passCancels({ hold, key, backlog }: Lane): void {
    if (hold === undefined) return;
    for (const order of backlog.controls) this.holders.passCancel(hold.holder, key, orderOf(order).target);
  }
}
