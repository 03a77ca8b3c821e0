import { until } from '#testing';
import { names, type BenchBroker, type BenchWatch } from './bench-broker.js';
import { SteadyLoad } from './steady-load.js';

/** A message from its publish to its record. */
interface TimedMessage {
  /** By the clock of `performance.now()`. */
  readonly sentAtMs: number;
  readonly tookMs: number;
}

/**
 * A steady load of which every message is timed, from its publish to the record that decides it, as a reader of the
 * records gets it: one clock, and what the broker does before it shows a record (replicas, syncs) is in it.
 */
export class TimedLoad implements AsyncDisposable {
  private readonly sentAtMs = new Map<string, number>();
  private readonly timed: TimedMessage[] = [];
  private load: SteadyLoad | undefined;
  private watch: BenchWatch | undefined;

  static async start(broker: BenchBroker, options: { sessions: readonly string[]; everyMs: number }) {
    const timed = new TimedLoad();
    timed.watch = await broker.watch(names.turnsStream, (subject, text) => timed.saw(subject, text));
    timed.load = new SteadyLoad(broker, {
      ...options,
      onSend: (session, { id }) => timed.sentAtMs.set(`${session} ${id}`, performance.now()),
    });
    return timed;
  }

  /** How long each message waited that was sent within this time, in µs. */
  waitsUs(fromMs: number, toMs: number): number[] {
    const within = this.timed.filter(({ sentAtMs }) => sentAtMs >= fromMs && sentAtMs < toMs);
    return within.map(({ tookMs }) => tookMs * 1_000);
  }

  /** Resolves when every message that was sent has its record. */
  async stop(): Promise<void> {
    await this.load?.stop();
    await until('every message of the load has its record', () => this.sentAtMs.size === 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.load?.[Symbol.asyncDispose]();
    this.watch?.stop();
  }

  private saw(subject: string, text: string): void {
    const nowMs = performance.now();
    const { sessionToken } = names.parseSessionSubject(subject);
    const { messages } = JSON.parse(text) as { messages: { id: string }[] };
    for (const { id } of messages) {
      const key = `${sessionToken} ${id}`;
      const sentAtMs = this.sentAtMs.get(key);
      if (sentAtMs === undefined) continue;
      this.sentAtMs.delete(key);
      this.timed.push({ sentAtMs, tookMs: nowMs - sentAtMs });
    }
  }
}
