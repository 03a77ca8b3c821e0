interface Unclear {
  readonly requestId: string;
  /** It asked for the next attempt of a task: one before it may have left something half done. */
  readonly isNext: boolean;
  /** How many attempts of the task had failed: what was held for the one before is lost once the next one is granted. */
  readonly failures: number;
}

/**
 * Requests of runs that came to no answer: what was asked for may have been done. The same run asks with the same `requestId`
 * again, or it would meet a holding of its own that it does not know of, and wait for the end of that.
 */
export class UnclearRequests {
  /** By run and key. */
  private readonly requests = new Map<string, Map<string, Unclear>>();

  constructor(private readonly newRequestId: () => string) {}

  /** The id to ask with; it counts as unclear until it is answered. */
  ask(
    runId: string,
    key: string,
    former?: { readonly failures: number },
  ): { readonly requestId: string; readonly isRepeated: boolean } {
    const ofRun = this.requests.get(runId) ?? new Map<string, Unclear>();
    const asked = ofRun.get(key);
    const { requestId } = asked ?? { requestId: this.newRequestId() };
    const isNext = former !== undefined || asked?.isNext === true;
    const failures = former?.failures ?? asked?.failures ?? 0;
    this.requests.set(runId, ofRun.set(key, { requestId, isNext, failures }));
    return { requestId, isRepeated: asked !== undefined };
  }

  /** How many attempts of the task had failed when it was asked for without an answer. */
  failuresOf(runId: string, key: string): number {
    return this.requests.get(runId)?.get(key)?.failures ?? 0;
  }

  answered(runId: string, key: string): void {
    const ofRun = this.requests.get(runId);
    ofRun?.delete(key);
    if (ofRun?.size === 0) this.requests.delete(runId);
  }

  /** What a run may hold without knowing; from here on it is forgotten. */
  forget(runId: string): { readonly key: string; readonly isNext: boolean }[] {
    const unclear = [...(this.requests.get(runId) ?? [])].map(([key, { isNext }]) => ({ key, isNext }));
    this.requests.delete(runId);
    return unclear;
  }
}
