import type { Clock } from '#contracts';
import type { Logger } from '#telemetry';
import type { IdleHeads } from './idle-heads.js';
import type { Handoffs } from './handoffs.js';
import type { RecordStore } from '../ports.js';
import type { ShardLanes } from './shard-lanes.js';
import type { Lane } from '../lane/lane.js';
import type { LaneHome } from '../lane/lane-view.js';

export interface LaneLoaderOptions {
  readonly store: RecordStore;
  readonly heads: IdleHeads;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A head that cannot be read holds its own lane alone; it is tried again after this. */
const HEAD_RETRY_MS = 30_000;

/** Gives new lanes their head, and what is known of a former owner: a turn that it still runs, or its end without a word. */
export class LaneLoader {
  constructor(
    private readonly options: LaneLoaderOptions,
    private readonly handoffs: Handoffs,
    /** The lane may go on. */
    private readonly onLoaded: (lane: Lane) => void,
  ) {}

  /** `firstSeq`: the first message of the session that this process knows of. Never rejects. */
  async load(lane: Lane, firstSeq: number): Promise<void> {
    const { store, heads, clock, log } = this.options;
    const home = lane.home as ShardLanes;
    if (home.state === 'closed') return;
    try {
      const reading = home.mayBeCut(firstSeq, 0) ? store.loadCutTurn(lane.key) : undefined;
      // Also one that is known is waited for: the lane has to have its message when it opens, or it would be forgotten at once.
      const loaded = await (heads.take(lane, firstSeq) ?? store.loadHead(lane.key));
      const cut = await reading;
      // Its shard was given away in the meantime: the next owner waits for it.
      if ((home as LaneHome).state === 'closed') return;
      lane.open(loaded);
      home.sawRecord(loaded.seq);
      if (lane.handoff !== undefined) this.handoffs.watch(lane, lane.handoff);
      else if (home.mayBeCut(firstSeq, loaded.seq)) lane.assumeCrash(cut, home.maybeBegunUpTo, clock.now());
      // The reader may have been faster than the head: it will not say again that it has caught up.
      if (home.isCaughtUp) lane.giveUpOnMissing();
      this.onLoaded(lane);
    } catch (error) {
      log.error({ ...lane.key, error: String(error) }, 'session waits: its last record cannot be read');
      clock.after(HEAD_RETRY_MS, () => void this.load(lane, firstSeq));
    }
  }
}
