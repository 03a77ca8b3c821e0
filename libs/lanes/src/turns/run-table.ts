import type { LaneRun } from '../lane/lane.js';

/**
 * What belongs to each of the runs in work, as a dense list; a run knows its place in it.
 *
 * It is no `Map`, since every turn enters and leaves it: V8 links each table that a Map has outgrown to the next one, with
 * all that stood in it. When one of them has come to the old generation, every later table is held by the one before, and
 * with them whatever a turn has made, until the next full collection (measured: 6 KB a turn survived, a quarter of all).
 */
export class RunTable<T> {
  private readonly runs: LaneRun[] = [];
  private readonly values: T[] = [];

  get size(): number {
    return this.runs.length;
  }

  has(run: LaneRun): boolean {
    return run.place >= 0 && this.runs[run.place] === run;
  }

  get(run: LaneRun): T | undefined {
    return this.has(run) ? this.values[run.place] : undefined;
  }

  set(run: LaneRun, value: T): void {
    if (!this.has(run)) run.place = this.runs.push(run) - 1;
    this.values[run.place] = value;
  }

  delete(run: LaneRun): void {
    if (!this.has(run)) return;
    const { place } = run;
    const last = this.runs.pop() as LaneRun;
    const value = this.values.pop() as T;
    run.place = -1;
    if (last === run) return;
    this.runs[place] = last;
    this.values[place] = value;
    last.place = place;
  }

  /** As they are now: the end of one meanwhile does not change the answer. */
  entries(): [LaneRun, T][] {
    return this.runs.map((run, i) => [run, this.values[i] as T]);
  }
}
