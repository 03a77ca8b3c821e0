/**
 * Requests of runs that came to no answer: what was asked for may have been done. The same run asks with the same `requestId`
 * again, or it would meet a holding of its own that it does not know of, and wait for the end of that.
 */
export class UnclearRequests {
  /** By run and key. */
  private readonly requests = new Map<string, Map<string, string>>();

  constructor(private readonly newRequestId: () => string) {}

  /** The id to ask with; it counts as unclear until it is answered. */
  ask(runId: string, key: string): { readonly requestId: string; readonly isRepeated: boolean } {
    const ofRun = this.requests.get(runId) ?? new Map<string, string>();
    const former = ofRun.get(key);
    const requestId = former ?? this.newRequestId();
    this.requests.set(runId, ofRun.set(key, requestId));
    return { requestId, isRepeated: former !== undefined };
  }

  answered(runId: string, key: string): void {
    const ofRun = this.requests.get(runId);
    ofRun?.delete(key);
    if (ofRun?.size === 0) this.requests.delete(runId);
  }

  /** The keys that a run may hold without knowing; from here on nobody knows. */
  forget(runId: string): string[] {
    const keys = [...(this.requests.get(runId)?.keys() ?? [])];
    this.requests.delete(runId);
    return keys;
  }
}
