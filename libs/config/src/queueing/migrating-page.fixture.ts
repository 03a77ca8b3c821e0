import { readFileSync } from 'node:fs';

/** docs/migrating.md as data, so that specs can check its promises. */

export interface PageRow {
  readonly section: string;
  /** The first cell, as written. */
  readonly there: string;
  readonly here: string;
  readonly differs: string;
}

export const MIGRATING_PAGE = readFileSync(new URL('../../../../docs/migrating.md', import.meta.url), 'utf8');

export function readRows(page: string): PageRow[] {
  const rows: PageRow[] = [];
  let section = '';
  for (const line of page.split('\n')) {
    section = /^## (.*)$/.exec(line)?.[1] ?? section;
    const cells = /^\|(.*)\|$/
      .exec(line)?.[1]
      ?.split('|')
      .map((cell) => cell.trim());
    const [there = '', here = '', differs = ''] = cells ?? [];
    if (cells === undefined || there === 'there' || /^-+$/.test(there)) continue;
    rows.push({ section, there, here, differs });
  }
  return rows;
}

/** The words in code type. */
export function wordsIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);
}
