import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The folder of the `lanekeeper` package. It is found by walking up, since this file runs both from `libs/config/src` and from
 * `dist/libs/config/src`: a fixed number of `..` would be wrong in one of them.
 */
export function packageRoot(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    if (packageName(folder) === 'lanekeeper') return folder;
    if (dirname(folder) === folder) {
      throw new Error(
        `package root: found no package.json named "lanekeeper" above ${start}, wanted one; ` +
          'run Lanekeeper from its own folder, with package.json beside dist',
      );
    }
  }
}

function packageName(folder: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(join(folder, 'package.json'), 'utf8');
  } catch {
    return undefined;
  }
  return (JSON.parse(text) as { name?: string }).name;
}

let version: string | undefined;

/** The version of this program, from its package.json. */
export function packageVersion(): string {
  version ??= (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }).version;
  return version;
}
