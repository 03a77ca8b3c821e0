import Table from 'cli-table3';
import type { TurnCost } from './process-figures.js';
import { median, medianRatio } from './statistics.js';
import { isReached, limitsOf, TARGETS, type Comparison, type Figures, type Limits, type Target } from './targets.js';

export interface Row {
  readonly cells: readonly string[];
  readonly isMissed: boolean;
}

export const COLUMNS = ['part', 'ours', 'beside', 'theirs', 'ratio', 'target', ''];

export function toRow({ target: name, of, ours, baseline, ourCosts = [], baselineCosts = [] }: Comparison): Row {
  const target: Target = TARGETS[name];
  const part = of === undefined ? target.part : `${target.part}, ${of}`;
  const theirs = show(baseline, target.unit) + showCosts(baselineCosts);
  const head = [part, show(ours, target.unit) + showCosts(ourCosts), target.baseline, theirs];
  if ('notMeasured' in ours || 'notMeasured' in baseline) {
    const isMissed = hasBound(target);
    return { cells: [...head, '', bound(target), isMissed ? 'missed' : ''], isMissed };
  }
  const ratio = medianRatio(ours, baseline);
  const limits = limitsOf(target, median(baseline));
  const isMissed = !isReached(limits, ratio);
  const verdict = isMissed ? 'missed' : hasBound(target) ? 'met' : '';
  return { cells: [...head, ratio.toFixed(2), bound(limits), verdict], isMissed };
}

export function toTable(rows: readonly Row[]): string {
  const table = new Table({ head: COLUMNS, style: { head: [], border: [] } });
  for (const { cells } of rows) table.push([...cells]);
  return table.toString();
}

/** The median, and in brackets the lowest and the highest run. */
function show(figures: Figures, unit: string): string {
  if ('notMeasured' in figures) return `not measured: ${figures.notMeasured}`;
  const round = (value: number): string => Math.round(value).toLocaleString('en');
  const range = figures.length < 2 ? '' : ` (${round(Math.min(...figures))} to ${round(Math.max(...figures))})`;
  return `${round(median(figures))} ${unit}${range}`;
}

/** Medians of what a turn takes of the processors, in worker and broker. */
function showCosts(costs: readonly TurnCost[]): string {
  if (costs.length === 0) return '';
  const middle = (pick: (cost: TurnCost) => number): number => Math.round(median(costs.map(pick)));
  return `; ${middle(({ workerUs }) => workerUs)} + ${middle(({ brokerUs }) => brokerUs)} µs`;
}

function hasBound({ atLeast, atMost, atMostAbove }: Target): boolean {
  return (atLeast ?? atMost ?? atMostAbove) !== undefined;
}

function bound({ atLeast, atMost }: Limits): string {
  const round = (value: number): number => Math.round(value * 100) / 100;
  if (atLeast !== undefined) return `at least ${round(atLeast)}`;
  return atMost === undefined ? 'none' : `at most ${round(atMost)}`;
}
