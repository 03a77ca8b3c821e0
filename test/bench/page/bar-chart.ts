import { classOf, label, legend, picture, round, WIDTH } from './svg.js';

export interface Bars {
  readonly name: string;
  /** One of each series; unset = there is none. */
  readonly values: readonly (number | undefined)[];
}

const LEFT = 170;
const RIGHT = 90;
const TOP = 68;
const BAR = 15;
const GAP = 12;

/** Lying bars, a group for each name. */
export function barChart(title: string, series: readonly string[], groups: readonly Bars[]): string {
  const most = Math.max(...groups.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const widthOf = (value: number): number => (value / most) * (WIDTH - LEFT - RIGHT);
  const shapes = legend(series);
  let y = TOP;
  for (const { name, values } of groups) {
    const present = values.flatMap((value, i) => (value === undefined ? [] : [{ value, i }]));
    shapes.push(label(LEFT - 10, y + (present.length * BAR) / 2 + 5, name, 'text-anchor="end"'));
    for (const { value, i } of present) {
      const width = widthOf(value);
      shapes.push(`<rect class="${classOf(i)}" x="${LEFT}" y="${y}" width="${round(width)}" height="${BAR - 2}"/>`);
      shapes.push(label(LEFT + width + 6, y + BAR - 4, Math.round(value).toLocaleString('en')));
      y += BAR;
    }
    y += GAP;
  }
  shapes.push(`<line class="axis" x1="${LEFT}" y1="${TOP - 6}" x2="${LEFT}" y2="${y - GAP + 6}"/>`);
  return picture(title, y + 4, shapes);
}
