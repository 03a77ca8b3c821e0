import type { Lane } from './lane.js';

/**
 * One batch at a time, of those that may be what took two workers down. When the process ends now, it is clear which of
 * them it was; the innocent ones wait, and come through.
 */
export class Quarantine {
  private inside: Lane | undefined;
  private readonly waiting = new Set<Lane>();

  /** False: not now; the lane is driven again when it is free. */
  enter(lane: Lane): boolean {
    if (this.inside !== undefined && this.inside !== lane) {
      this.waiting.add(lane);
      return false;
    }
    this.inside = lane;
    return true;
  }

  /** The answer is who waited and may try now. Safe to call for a lane that is not inside. */
  leave(lane: Lane): readonly Lane[] {
    if (this.inside !== lane) return [];
    this.inside = undefined;
    const waited = [...this.waiting];
    this.waiting.clear();
    return waited;
  }
}
