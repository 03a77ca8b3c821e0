import type { PartResult } from '../results.js';
import { median } from '../statistics.js';
import type { Comparison, Figures, TargetName } from '../targets.js';
import { barChart, type Bars } from './bar-chart.js';
import { lineChart, type Line } from './line-chart.js';

/** Whose bars are drawn: those that keep as much as we do. */
const SYSTEMS: readonly { name: string; live: TargetName; full?: TargetName }[] = [
  { name: 'bare loop', live: 'liveBare', full: 'fullBare' },
  { name: 'Chat SDK, in process', live: 'liveChatSdk' },
  { name: 'GroupMQ', live: 'liveGroupmq', full: 'fullGroupmq' },
  { name: 'BullMQ, no order', live: 'liveBullmq', full: 'fullBullmq' },
  { name: 'Restate', live: 'liveRestate' },
];

/** Undefined, if there is nothing to draw. */
export function turnsPlot(result: PartResult | undefined): string | undefined {
  if (result === undefined) return undefined;
  const find = (target?: TargetName): Comparison | undefined =>
    result.comparisons.find((comparison) => comparison.target === target);
  const ours: Bars = {
    name: 'Lanekeeper',
    values: [middleOf(find('liveBare')?.ours), middleOf(find('fullBare')?.ours)],
  };
  const theirs = SYSTEMS.map(({ name, live, full }): Bars => {
    return { name, values: [middleOf(find(live)?.baseline), middleOf(find(full)?.baseline)] };
  });
  const measured = [ours, ...theirs].filter(({ values }) => values.some((value) => value !== undefined));
  const title = 'Turns a second of sessions, stores that survive a kill -9';
  return measured.length === 0 ? undefined : barChart(title, ['fed while they run', 'full inbox'], measured);
}

export function costPlot(result: PartResult | undefined): string | undefined {
  if (result === undefined) return undefined;
  const line = (name: string, target: TargetName): Line => {
    const rows = result.comparisons.filter((comparison) => comparison.target === target);
    const smallest = rows.slice(0, 1).flatMap(({ baseline }) => pointOf(1_000, baseline));
    return { name, points: [...smallest, ...rows.flatMap(({ of = '', ours }) => pointOf(sizeOf(of), ours))] };
  };
  const lines = [line('worker and broker', 'growthProcessor'), line('worker', 'growthWorker')];
  if (lines.every(({ points }) => points.length === 0)) return undefined;
  return lineChart('Processor time of a turn by number of known sessions', 'µs', lines);
}

function pointOf(x: number, figures: Figures): { x: number; y: number }[] {
  const y = middleOf(figures);
  return y === undefined ? [] : [{ x, y }];
}

/** Of `1,000,000 sessions`. */
function sizeOf(text: string): number {
  return Number.parseInt(text.replaceAll(',', ''), 10);
}

function middleOf(figures: Figures | undefined): number | undefined {
  return figures === undefined || 'notMeasured' in figures ? undefined : median(figures);
}
