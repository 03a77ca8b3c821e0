/** Adds up what workers say of themselves: a process that ends takes its count with it. */
export interface WorkerWatch extends AsyncDisposable {
  /** Results of turns that another had decided in the meantime. */
  readonly discarded: number;
}

const LOOK_MS = 500;
const PATIENCE_MS = 2_000;

export function watchWorkers(urls: () => readonly string[]): WorkerWatch {
  const byIncarnation = new Map<string, number>();
  const look = async (): Promise<void> => {
    const [url] = urls();
    if (url === undefined) return;
    const response = await fetch(`${url}/v1/workers`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    const { workers = [] } = (await response.json()) as { workers?: { incarnation: string; discarded?: number }[] };
    for (const { incarnation, discarded = 0 } of workers) byIncarnation.set(incarnation, discarded);
  };
  let isLooking = false;
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    // In an outage no worker answers.
    void look()
      .catch(() => {})
      .finally(() => (isLooking = false));
  }, LOOK_MS);
  return {
    get discarded() {
      return [...byIncarnation.values()].reduce((sum, count) => sum + count, 0);
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
    },
  };
}
