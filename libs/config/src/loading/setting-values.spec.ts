import { describe, expect, it } from 'vitest';
import { showValue } from '#contracts';
import { dotted } from './setting-places.js';
import { checkLayer } from './settings-layer.js';
import { knownKeys } from '../settings.js';

const NOT_OURS = /invalid|expected|too (big|small)|unrecognized|must |zod|undefined/i;

const VALUES: readonly unknown[] = [
  ...[null, true, 0, -1, 1.5, 1e300, '', 'x', '3 seconds', 'two words\n', 'y'.repeat(5_000)],
  ...[[], ['a b'], [5], {}, { a: 1 }],
];

/** Settings in which a text, or any value, may be a secret. */
const SECRETS = /^nats\b|\bsecret$|\bheaders\b/;

/** Every existing setting, by its path. */
function pathsBelow(path: readonly string[]): string[][] {
  const own = path.length === 1 && (path[0] === 'agents' || path[0] === 'channels') ? ['main'] : knownKeys(path);
  return own.flatMap((key) => [[...path, key], ...pathsBelow([...path, key])]);
}

function problemsOf(path: readonly string[], value: unknown) {
  const values = path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
  return checkLayer({ values, nameOf: dotted, remedy: 'set it' }).problems;
}

describe('the problem of a setting', () => {
  const paths = pathsBelow([]);

  it('uses our words and shows the found value, for each setting and any JSON value', () => {
    expect(paths.length).toBeGreaterThan(120);
    for (const path of paths) {
      const field = dotted(path);
      for (const value of VALUES) {
        for (const problem of problemsOf(path, value)) {
          expect(`${field}: ${problem.wanted}; ${problem.remedy ?? ''}`).not.toMatch(NOT_OURS);
          if (problem.field === field && !SECRETS.test(field)) expect(problem.found, field).toBe(showValue(value));
        }
      }
    }
  });

  it('shows nothing of a possible secret, even of a number, a list or a URL with a user', () => {
    for (const path of [
      ['nats', 'url'],
      ['agents', 'main', 'secret'],
    ]) {
      for (const value of ['S3CRET', ['S3CRET'], { S3CRET: 1 }]) {
        const found = problemsOf(path, value).map((problem) => problem.found);
        expect(found.join()).not.toContain('S3CRET');
      }
    }
    expect(problemsOf(['agents', 'main', 'secret'], 1234)).toMatchObject([{ found: 'a number' }]);
    expect(problemsOf(['agents', 'main', 'url'], 'ftp://user:S3CRET@host')).toMatchObject([
      { found: 'a text of 22 bytes' },
    ]);
    expect(problemsOf(['agents', 'main', 'url'], 'htp://host')).toMatchObject([{ found: '"htp://host"' }]);
  });

  it('shows a time as it was written', () => {
    expect(problemsOf(['agents', 'main', 'debounceMs'], '3 seconds')).toMatchObject([
      { found: '"3 seconds"', wanted: 'whole milliseconds from 1 to 86400000' },
    ]);
  });
});
