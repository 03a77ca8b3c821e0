import type { Clock, CancelTarget, SessionTokens, LoadedHead } from '#contracts';
import { isHandoffOver, type Handoff } from '../lane/handoff.js';
import { orderOf } from '../backlog/inbox-item.js';
import type { CutTurn } from '../lane/after-crash.js';
import type { Lane } from '../lane/lane.js';
import type { RecordStore } from '../ports.js';

/** Whom the lanes ask about other processes. */
export interface FormerOwners {
  /** Whether an incarnation is certainly gone. Never rejects; false when that cannot be told now. */
  isGone(incarnation: string): Promise<boolean>;
  /** Passes a cancel on to the former owner that runs the turn. Unacknowledged: repeated until a record shows the effect. */
  passCancel(holder: string, key: SessionTokens, target: CancelTarget): void;
}

export interface HandoffEnd {
  readonly loaded: LoadedHead;
  /** Present when the holder is gone and left no record. */
  readonly crash?: { readonly cut: CutTurn | undefined };
}

/** The time between two looks when no hint comes; also how often a cancel is passed on. */
const LOOK_EVERY_MS = 1_000;
/** A hint comes with the publish, a moment before the record stands. */
const LOOK_AGAIN_MS = [5, 20, 100];

/**
 * Waits for the end of turns that other processes still run of our sessions: for the record that shows it, or for the
 * certain end of the process. Until then nothing may be decided about the session here (L1).
 */
export class Handoffs {
  private readonly watches = new Map<Lane, () => void>();

  constructor(
    private readonly store: RecordStore,
    private readonly formerOwners: FormerOwners,
    private readonly clock: Clock,
    private readonly onEnd: (lane: Lane, end: HandoffEnd) => void,
  ) {}

  watch(lane: Lane, handoff: Handoff): void {
    let isOver = false;
    let cancelTimer = (): void => {};
    let isLooking = false;
    const look = async (): Promise<void> => {
      if (isLooking) return;
      isLooking = true;
      const end = await this.look(lane, handoff).catch(() => undefined);
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
    // It may have ended between the look that found it in handoff and the watch.
    lookLater(LOOK_AGAIN_MS);
  }

  forget(lane: Lane): void {
    this.watches.get(lane)?.();
  }

  private async look(lane: Lane, handoff: Handoff): Promise<HandoffEnd | undefined> {
    const loaded = await this.store.loadHead(lane.key);
    if (isHandoffOver(handoff, loaded)) return { loaded };
    if (!(await this.formerOwners.isGone(handoff.holder))) return undefined;
    // Between the two looks it may have written its last record and ended, as it should.
    const [last, cut] = await Promise.all([this.store.loadHead(lane.key), this.store.loadCutTurn(lane.key)]);
    return isHandoffOver(handoff, last) ? { loaded: last } : { loaded: last, crash: { cut } };
  }

  /** Told at once, and again until the record shows the effect. */
  passCancels({ handoff, key, backlog }: Lane): void {
    if (handoff === undefined) return;
    for (const order of backlog.cancelOrders) this.formerOwners.passCancel(handoff.holder, key, orderOf(order).target);
  }
}
