import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '#config';
import { COLUMNS, toRow } from '../report.js';
import { readResults, type PartResult, type Results } from '../results.js';
import { TARGETS } from '../targets.js';
import { costPlot, turnsPlot } from './bench-plots.js';
import { formatFor } from './format.js';
import { PART_TEXTS } from './part-texts.js';

/** Writes docs/bench.md and its plots, of the results of all parts that were ever kept; answers the page's path. */
export async function writePage(): Promise<string> {
  const docs = join(packageRoot(), 'docs');
  const results = await readResults();
  await mkdir(join(docs, 'bench'), { recursive: true });
  const plots = { 'turns.svg': turnsPlot(results['turns']), 'growth.svg': costPlot(results['growth']) };
  for (const [name, svg] of Object.entries(plots)) {
    if (svg !== undefined) await writeFile(join(docs, 'bench', name), svg);
  }
  const page = join(docs, 'bench.md');
  const drawn = Object.entries(plots).flatMap(([name, svg]) => (svg === undefined ? [] : [name]));
  await writeFile(page, await formatFor(page, toMarkdown(results, drawn)));
  return page;
}

const PLOT_TITLES: Readonly<Record<string, string>> = {
  'turns.svg': 'Turns a second, by system',
  'growth.svg': 'Processor time of a turn, by number of known sessions',
};

function toMarkdown(results: Results, plots: readonly string[]): string {
  const parts = Object.entries(PART_TEXTS).flatMap(([name, text]) => {
    const result = results[name];
    return result === undefined ? [] : [partOf(name, text, result)];
  });
  return [
    '# Benchmarks',
    '',
    'Written by the bench itself (`npm run bench -- --write`). Each figure is the median of its runs, in brackets the lowest',
    'and the highest one; each ratio is the median of the ratios of single runs, in which the sides take turns. "a + b µs" is',
    'the processor time of one turn, in worker and broker. Why what is missed is missed: [performance.md](performance.md).',
    '',
    ...plots.flatMap((name) => [`![${PLOT_TITLES[name]}](bench/${name})`, '']),
    ...parts,
  ].join('\n');
}

function partOf(name: string, text: string, { command, comparisons, environment }: PartResult): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  // A former run may have had a comparison that there is no more.
  const rows = comparisons.filter(({ target }) => target in TARGETS).map(toRow);
  const about = Object.entries(environment).map(([what, value]) => `${what}: ${value}`);
  return [
    `## ${name}`,
    '',
    text,
    '',
    line(COLUMNS),
    line(COLUMNS.map(() => '---')),
    ...rows.map(({ cells }) => line(cells)),
    '',
    `\`${command}\` (${about.join('; ')})`,
    '',
  ].join('\n');
}
