import type { LaneRun } from '../lane/lane.js';

/**
 * One batch at a time, of those that may be what took two workers down. When the process ends now, it is clear which of
 * them it was; the innocent ones wait, and come through.
 */
export class Quarantine {
  private inside: LaneRun | undefined;
  private readonly waiting = new Set<LaneRun>();

  isFreeFor(run: LaneRun): boolean {
    return this.inside === undefined || this.inside === run;
  }

  /** False: another run is inside. Then this one waits. */
  enter(run: LaneRun): boolean {
    if (!this.isFreeFor(run)) {
      this.wait(run);
      return false;
    }
    this.inside = run;
    return true;
  }

  /** `leave` names it when it may try. */
  wait(run: LaneRun): void {
    this.waiting.add(run);
  }

  /** The answer is the runs that waited and may try now. Safe to call for a run that is not inside. */
  leave(run: LaneRun): readonly LaneRun[] {
    if (this.inside !== run) return [];
    this.inside = undefined;
    const waited = [...this.waiting];
    this.waiting.clear();
    return waited;
  }
}
