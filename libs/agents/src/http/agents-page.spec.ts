import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { meaningOf } from './agent-status.js';

/** docs/agents-over-http.md lists the meaning of each status. It must match the code. */

const PAGE = readFileSync(new URL('../../../../docs/agents-over-http.md', import.meta.url), 'utf8');
const rows = [...PAGE.matchAll(/^\| ([^|]*?) +\| (answer|later|again|dead|) *\|/gm)]
  .map(([, statuses = '', meaning = '']): [string, string] => [statuses, meaning])
  .filter(([statuses]) => /^(\d|other)/.test(statuses));

const listed = (statuses: string): number[] =>
  statuses.split(', ').flatMap((part) => {
    const [from = 0, to = from] = part.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });

const NAMED = new Map(
  rows
    .filter(([name]) => !name.startsWith('other'))
    .flatMap(([name, means]) => listed(name).map((one) => [one, means])),
);
const others = (name: string): string | undefined => rows.find(([statuses]) => statuses.startsWith(name))?.[1];

function pageSays(status: number): string | undefined {
  const named = NAMED.get(status);
  if (named !== undefined) return named;
  if (status < 300) return 'answer';
  if (status < 400) return 'dead';
  return status < 500 ? others('other 4xx') : others('other 5xx');
}

describe('docs/agents-over-http.md', () => {
  it('names the statuses that differ from their neighbours', () => {
    expect(rows.length).toBeGreaterThan(12);
    expect([...NAMED.keys()]).toEqual(expect.arrayContaining([408, 409, 425, 429, 503, 529]));
  });

  it('says of each status what the code does', () => {
    for (let status = 200; status <= 999; status++) {
      expect([status, meaningOf(status, false)]).toEqual([status, pageSays(status)]);
    }
  });

  it('says that a Retry-After changes the meaning of a refusal only', () => {
    for (let status = 200; status <= 999; status++) {
      const expected = status >= 400 && status < 500 && pageSays(status) === 'dead' ? 'later' : pageSays(status);
      expect([status, meaningOf(status, true)]).toEqual([status, expected]);
    }
  });
});
