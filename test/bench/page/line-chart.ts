import { axisOf, classOf, label, legend, picture, round, WIDTH } from './svg.js';

export interface Line {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

const HEIGHT = 340;
const LEFT = 60;
const RIGHT = 40;
const TOP = 76;
const BOTTOM = 46;

/** Lines from zero upwards, over an axis of powers of ten. */
export function lineChart(title: string, unit: string, lines: readonly Line[]): string {
  const all = lines.flatMap(({ points }) => points);
  const xs = [...new Set(all.map(({ x }) => x))].toSorted((a, b) => a - b);
  const [first = 1, last = 10] = [xs[0], xs.at(-1)];
  const steps = axisOf(Math.max(...all.map(({ y }) => y)));
  const most = steps.at(-1) ?? 1;
  const span = Math.log10(last) - Math.log10(first) || 1;
  const xOf = (x: number): number => LEFT + ((Math.log10(x) - Math.log10(first)) / span) * (WIDTH - LEFT - RIGHT);
  const yOf = (y: number): number => HEIGHT - BOTTOM - (y / most) * (HEIGHT - TOP - BOTTOM);
  const grid = steps.map((y) => {
    const height = round(yOf(y));
    const line = `<line class="axis" x1="${LEFT}" y1="${height}" x2="${WIDTH - RIGHT}" y2="${height}"/>`;
    return line + label(LEFT - 8, height + 4, String(round(y)), 'text-anchor="end"');
  });
  const ticks = xs.map((x) => label(xOf(x), HEIGHT - BOTTOM + 20, x.toLocaleString('en'), 'text-anchor="middle"'));
  const drawn = lines.flatMap(({ points }, i) => {
    const places = points.map(({ x, y }) => ({ x: round(xOf(x)), y: round(yOf(y)), value: y }));
    const path = places.map(({ x, y }) => `${x},${y}`).join(' ');
    return [
      `<polyline class="${classOf(i)} line" style="fill: none" points="${path}"/>`,
      ...places.map(({ x, y }) => `<circle class="${classOf(i)}" cx="${x}" cy="${y}" r="4"/>`),
      ...places.map(({ x, y, value }) => label(x, y - 10, String(Math.round(value)), 'text-anchor="middle"')),
    ];
  });
  return picture(`${title} (${unit})`, HEIGHT, [...legend(lines.map(({ name }) => name)), ...grid, ...ticks, ...drawn]);
}
