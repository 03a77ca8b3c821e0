import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '#config';

/** From a time of the machine on, the wall clock of a process goes beside it by so much. */
export interface ClockShift {
  readonly at: number;
  readonly shiftMs: number;
}

/** A process looks at its shift now and then. */
const NOTICED_LATE_MS = 50;
/** Times are rounded on both sides. */
const STORED_EARLY_MS = 5;

/** The wall clock of one host: of all processes that sit at one seat, one after another. See shifted-clock.mjs. */
export class WallClock {
  /** By time; the first is that of its beginning. */
  readonly shifts: ClockShift[] = [];

  constructor(
    private readonly file: string,
    /** How far beside the machine's it goes when nothing is done to it. */
    private readonly usualMs: number,
  ) {
    this.set(usualMs);
  }

  /** What a process needs in its environment to go by it. */
  get env(): NodeJS.ProcessEnv {
    const preload = join(packageRoot(), 'test/chaos/shifted-clock.mjs');
    return { NODE_OPTIONS: `--import=${preload}`, CHAOS_CLOCK_FILE: this.file };
  }

  jump(byMs: number): void {
    this.set(this.usualMs + byMs);
  }

  /** As a time service does it: back to where it was. */
  setRight(): void {
    this.set(this.usualMs);
  }

  private set(shiftMs: number): void {
    // By a rename, so that no process reads half of a number.
    writeFileSync(`${this.file}.new`, String(shiftMs));
    renameSync(`${this.file}.new`, this.file);
    this.shifts.push({ at: Date.now(), shiftMs });
  }
}

/**
 * When it was by the machine's clock that a process saw `seen` on its own and told of it; the broker had stored that by
 * `storedAt`. A clock that jumps back shows times twice: it was the later one that fits.
 */
export function machineTimeOf(seen: number, storedAt: number, shifts: readonly ClockShift[]): number {
  const times = shifts.map(({ at, shiftMs }, i) => ({
    time: seen - shiftMs,
    from: at,
    to: (shifts[i + 1]?.at ?? Number.POSITIVE_INFINITY) + NOTICED_LATE_MS,
  }));
  const fitting = times.filter(
    ({ time, from, to }) => from <= time && time <= to && time <= storedAt + STORED_EARLY_MS,
  );
  return fitting.at(-1)?.time ?? seen - (shifts[0]?.shiftMs ?? 0);
}
