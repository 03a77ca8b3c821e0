/** Pieces of a plot that can be read on a light and on a dark page: it brings its own ground, which follows the reader's. */

export const WIDTH = 760;

const STYLE = `
  .ground { fill: #ffffff } .axis { stroke: #c9ced6 } .first { fill: #2f6fde; stroke: #2f6fde }
  .second { fill: #e08a1e; stroke: #e08a1e } .line { fill: none; stroke-width: 2.5 }
  text { font: 13px system-ui, sans-serif; fill: #24292f; stroke: none } .title { font-weight: 600; font-size: 15px }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #14181f } .axis { stroke: #454c57 } .first { fill: #6ea1ff; stroke: #6ea1ff }
    .second { fill: #f2b05e; stroke: #f2b05e } text { fill: #e3e7ec; stroke: none }
  }`;

export function picture(title: string, height: number, shapes: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title><style>${STYLE}</style>`,
    `<rect class="ground" width="${WIDTH}" height="${height}" rx="6"/>`,
    label(16, 26, title, 'class="title"'),
    ...shapes,
    '</svg>',
    '',
  ].join('\n');
}

export function label(x: number, y: number, text: string, attributes = ''): string {
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escaped(text)}</text>`;
}

/** The colours' names, in a row below the title. */
export function legend(names: readonly string[]): string[] {
  return names.map((name, i) => {
    const x = 16 + i * 220;
    return `<rect class="${classOf(i)}" x="${x}" y="40" width="12" height="12"/>${label(x + 18, 51, name)}`;
  });
}

/** There are two colours. */
export function classOf(series: number): string {
  return series === 0 ? 'first' : 'second';
}

export function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Round numbers from zero to above the highest value: 0, 20, 40, … */
export function axisOf(highest: number): readonly number[] {
  const power = 10 ** Math.floor(Math.log10(highest / 4));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size * 5 >= highest) ?? 10 * power;
  return Array.from({ length: Math.ceil(highest / step) + 1 }, (_, i) => i * step);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
