interface Unclear {
  readonly requestId: string;
  /** It asked for a further attempt of a task. An earlier attempt may have left work half done. */
  readonly isNext: boolean;
  /**
   * Number of failed attempts so far. The former holding, which had this number, is lost when the next one is granted.
   */
  readonly failures: number;
}

/**
 * Requests without an answer: the guard may have granted them. The same run repeats the request with the same
 * `requestId`. With a new one it would meet its own unknown holding and wait for its end.
 */
export class UnclearRequests {
  /** By run and key. */
  private readonly requests = new Map<string, Map<string, Unclear>>();

  constructor(private readonly newRequestId: () => string) {}

  /** The `requestId` to ask with. It counts as unclear until it is answered. */
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

  /** Number of failed attempts when the task was asked for without an answer. */
  failuresOf(runId: string, key: string): number {
    return this.requests.get(runId)?.get(key)?.failures ?? 0;
  }

  answered(runId: string, key: string): void {
    const ofRun = this.requests.get(runId);
    ofRun?.delete(key);
    if (ofRun?.size === 0) this.requests.delete(runId);
  }

  /** Tasks that the run may hold without knowing. Forgets them. */
  forget(runId: string): { readonly key: string; readonly isNext: boolean }[] {
    const unclear = [...(this.requests.get(runId) ?? [])].map(([key, { isNext }]) => ({ key, isNext }));
    this.requests.delete(runId);
    return unclear;
  }
}
