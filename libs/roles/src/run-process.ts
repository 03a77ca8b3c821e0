import { loadSettings, type Settings } from '#config';
import { createLogger, type Logger } from '#telemetry';
import { setEngineFlags } from './engine-flags.js';

/** A running service. `url` is set when it serves HTTP. */
export interface RunningService {
  readonly url?: string;
  /**
   * Resolves with the reason when the service cannot continue. It must end then: a broken process that still answers is
   * worse than none.
   */
  readonly failed?: Promise<Error>;
  stop(): Promise<void>;
}

export interface ProcessContext {
  readonly settings: Settings;
  readonly log: Logger;
  /** Aborts when the process is told to stop before it was ready. */
  readonly signal: AbortSignal;
}

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const INTERRUPTED = 130;
/** Time after the drain budget for closing connections and the broker. After it the process ends anyway. */
const STOP_RESERVE_MS = 15_000;

/**
 * Life of one process: settings, start, the line `ready …` on stdout, a signal, a clean stop. A failed start prints one
 * message on stderr, without a stack. A second signal ends the process at once.
 */
export async function runProcess(
  service: string,
  start: (context: ProcessContext) => Promise<RunningService>,
): Promise<void> {
  setEngineFlags();
  const stopping = new AbortController();
  let signals = 0;
  for (const name of STOP_SIGNALS) {
    process.on(name, () => {
      if (++signals > 1) process.exit(INTERRUPTED);
      stopping.abort();
    });
  }
  try {
    const settings = loadSettings();
    const log = createLogger({ level: settings.log.level, service });
    const running = await start({ settings, log, signal: stopping.signal });
    if (!stopping.signal.aborted) {
      process.stdout.write(running.url === undefined ? 'ready\n' : `ready ${running.url}\n`);
      const stopped = new Promise<void>((resolve) => {
        stopping.signal.addEventListener('abort', () => resolve(), { once: true });
      });
      const failure = await Promise.race([stopped, running.failed ?? stopped]);
      if (failure !== undefined) {
        process.stderr.write(`lanekeeper ${service}: ${failure.message}\n`);
        process.exitCode = 1;
      }
    }
    log.info({}, 'stopping');
    if (!(await endsWithin(running.stop(), settings.drainMs + STOP_RESERVE_MS))) {
      log.error({ drainMs: settings.drainMs }, 'did not stop in time; exiting anyway');
      process.exitCode = 1;
    }
  } catch (error) {
    if (!stopping.signal.aborted) {
      process.stderr.write(`lanekeeper ${service}: ${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = 1;
    }
  }
  // An open socket or a user's timer must not keep a stopped service alive.
  process.exit();
}

async function endsWithin(work: Promise<void>, limitMs: number): Promise<boolean> {
  let cancel = (): void => {};
  const over = new Promise<false>((resolve) => {
    const timer = setTimeout(() => resolve(false), limitMs);
    cancel = () => clearTimeout(timer);
  });
  const inTime = await Promise.race([work.then(() => true), over]);
  cancel();
  return inTime;
}
